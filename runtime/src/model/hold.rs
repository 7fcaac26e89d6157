//! Who is at work with a model's weights. While something computes with them (a forward whose backward has yet to come, a
//! generation that keeps keys and values), a function that it calls must not change them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Result};

/// The work that is going on.
#[derive(Debug, Default)]
struct List {
    next: u64,
    works: Vec<(u64, &'static str)>,
    /// How many functions are running now that compute a loss of these weights.
    losses: usize,
}

/// The work that is going on with one set of weights; clones share it, as they share the weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds(Arc<Mutex<List>>);

/// Keeps weights from being changed until it is dropped.
#[derive(Debug)]
#[must_use = "the weights are held until this is dropped"]
pub struct Hold {
    holds: Holds,
    id: u64,
}

/// Says that a loss of some weights is being computed, until it is dropped.
#[derive(Debug)]
#[must_use = "the loss counts as running until this is dropped"]
pub struct InLoss(Holds);

impl Holds {
    fn with<R>(&self, work: impl FnOnce(&mut List) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn hold(&self, work: &'static str) -> Hold {
        let id = self.with(|list| {
            list.next += 1;
            list.works.push((list.next, work));
            list.next
        });
        Hold { holds: self.clone(), id }
    }

    pub(super) fn begin_loss(&self) -> InLoss {
        self.with(|list| list.losses += 1);
        InLoss(self.clone())
    }

    pub(super) fn in_loss(&self) -> bool {
        self.with(|list| list.losses > 0)
    }

    pub(super) fn check_free(&self) -> Result<()> {
        match self.with(|list| list.works.last().map(|(_, work)| *work)) {
            None => Ok(()),
            Some(work) => Err(Error::argument(format!(
                "the weights cannot be changed while {work} computes with them: change them before or after it, or \
                 work on a copy of the model"
            ))),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.with(|list| list.works.retain(|(id, _)| *id != self.id));
    }
}

impl Drop for InLoss {
    fn drop(&mut self) {
        self.0.with(|list| list.losses -= 1);
    }
}
