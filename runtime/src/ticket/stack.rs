//! Tickets on a model: applied in place, and taken off again to the very bits that were there.

use candle_core::Tensor;

use super::Ticket;
use crate::mask::Mask;
use crate::model::Params;
use crate::ops::{Exec, scatter};
use crate::{Error, Result};

/// A ticket that is applied to a model: the handle to take it off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Applied(u64);

/// What lies under an applied ticket.
struct Layer {
    id: Applied,
    name: String,
    mask: Mask,
    /// The overwritten values by parameter, exact in f32 whatever the type of the parameter.
    kept: Vec<(usize, Tensor)>,
}

/// The tickets that are applied to one model, in the order of their application.
#[derive(Default)]
pub struct Stack {
    layers: Vec<Layer>,
    next: u64,
    /// The fingerprint of the model without the tickets, where it is known.
    base: Option<String>,
    /// The version of the parameters when this stack last left them.
    version: u64,
    /// The tickets that were applied when something else changed the weights. What lies under them is not known from
    /// then on; once they are off, it is read anew.
    disturbed: Option<String>,
}

impl Stack {
    /// Nothing applied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what is applied, after the weights were set to something else as a whole: there is
    /// nothing left to be taken off.
    pub fn forget(&mut self) {
        self.layers.clear();
        self.base = None;
        self.disturbed = None;
    }

    /// The tickets that are applied, lowest first, with their names.
    pub fn applied(&self) -> impl Iterator<Item = (Applied, &str)> {
        self.layers.iter().map(|layer| (layer.id, layer.name.as_str()))
    }

    /// Whether this ticket is applied.
    pub fn holds(&self, applied: Applied) -> bool {
        self.layers.iter().any(|layer| layer.id == applied)
    }

    /// The fingerprint of the model without any of the tickets. It is not known while tickets are applied over which
    /// something else (training, another value of a parameter) has changed the weights; then this is an error.
    pub fn base(&mut self, exec: &Exec, params: &Params) -> Result<String> {
        self.look(params);
        if let Some(base) = &self.base {
            return Ok(base.clone());
        }
        if !self.layers.is_empty() {
            return Err(Error::mismatch(format!(
                "{}, so what lies under it is no longer known and no other ticket can be checked against it: restore a \
                 snapshot of the base, or apply the ticket with any_base",
                self.story()
            )));
        }
        let base = params.fingerprint(exec)?;
        self.base = Some(base.clone());
        self.left(params);
        Ok(base)
    }

    /// Notes whether something else has changed the parameters since this stack last left them.
    fn look(&mut self, params: &Params) {
        if self.version == params.version() {
            return;
        }
        self.base = None;
        if !self.layers.is_empty() {
            let names: Vec<String> = self.layers.iter().map(|layer| format!("{:?}", layer.name)).collect();
            self.disturbed = Some(names.join(", "));
        }
        self.left(params);
    }

    /// What has happened to the weights, as an error begins.
    fn story(&self) -> String {
        let names = self.disturbed.as_deref().unwrap_or_default();
        format!("the weights were changed while {names} was applied")
    }

    /// Writes the values of a ticket into the parameters, in place and so for all their clones,
    /// rounded to their type, and keeps what they overwrite. `name` is what errors call it.
    ///
    /// The ticket must belong to the base that lies under this stack, unless `any_base`.
    pub fn apply(
        &mut self,
        exec: &Exec,
        params: &Params,
        ticket: &Ticket,
        name: &str,
        any_base: bool,
    ) -> Result<Applied> {
        self.check(exec, params, ticket, any_base)?;
        let mut kept = Vec::new();
        for (i, ..) in ticket.mask.selected() {
            kept.push((i, scatter::gather(exec, params.get(i), &ticket.mask.index(i)?)?));
        }
        let written = kept.iter().try_for_each(|(i, old)| {
            let values = Tensor::from_slice(&ticket.values[*i], old.dims(), old.device())?;
            scatter::scatter_in_place(exec, params.get(*i), &ticket.mask.index(*i)?, &values)
        });
        params.touch();
        if let Err(e) = written {
            // Half a ticket is no ticket: what can be put back is.
            let _ = put_back(exec, params, &ticket.mask, &kept);
            self.left(params);
            return Err(e);
        }
        let id = Applied(self.next);
        self.next += 1;
        self.layers.push(Layer { id, name: name.to_string(), mask: ticket.mask.clone(), kept });
        self.left(params);
        Ok(id)
    }

    /// Puts back the bits that a ticket overwrote. Tickets that share no entries come off in any
    /// order; one that lies under another must wait for it.
    pub fn unapply(&mut self, exec: &Exec, params: &Params, applied: Applied) -> Result<()> {
        params.check_free()?;
        let at = self.removable(applied)?;
        self.look(params);
        let layer = &self.layers[at];
        put_back(exec, params, &layer.mask, &layer.kept)?;
        self.layers.remove(at);
        self.left(params);
        Ok(())
    }

    /// Takes all tickets off, last first.
    pub fn unapply_all(&mut self, exec: &Exec, params: &Params) -> Result<()> {
        while let Some(layer) = self.layers.last() {
            self.unapply(exec, params, layer.id)?;
        }
        Ok(())
    }

    /// Takes one ticket off and applies another, or does neither.
    pub fn swap(
        &mut self,
        exec: &Exec,
        params: &Params,
        off: Applied,
        on: &Ticket,
        name: &str,
        any_base: bool,
    ) -> Result<Applied> {
        self.removable(off)?;
        self.check(exec, params, on, any_base)?;
        self.unapply(exec, params, off)?;
        self.apply(exec, params, on, name, true)
    }

    fn check(&mut self, exec: &Exec, params: &Params, ticket: &Ticket, any_base: bool) -> Result<()> {
        params.check_free()?;
        params.universe().check_same(ticket.mask.universe())?;
        self.look(params);
        if any_base {
            // Read while it can be: later this ticket lies over it.
            return if self.layers.is_empty() { self.base(exec, params).map(drop) } else { Ok(()) };
        }
        self.fits(exec, params, ticket)
    }

    /// An error unless a ticket belongs to the base that lies under this stack.
    pub fn fits(&mut self, exec: &Exec, params: &Params, ticket: &Ticket) -> Result<()> {
        let base = self.base(exec, params)?;
        match ticket.check(params, &base) {
            Err(_) if self.disturbed.is_some() => Err(Error::mismatch(format!(
                "{}, so taking it off did not bring its base back, and this ticket was made on another base than the \
                 weights that are left: restore a snapshot of the base, or apply the ticket with any_base",
                self.story()
            ))),
            checked => {
                if checked.is_ok() && self.layers.is_empty() {
                    self.disturbed = None;
                }
                checked
            }
        }
    }

    /// The place of a ticket that can be taken off now.
    fn removable(&self, applied: Applied) -> Result<usize> {
        let at = self.layers.iter().position(|layer| layer.id == applied).ok_or_else(|| {
            Error::argument("this ticket is not applied to this model (or has been taken off already)")
        })?;
        let layer = &self.layers[at];
        for above in &self.layers[at + 1..] {
            let shared = layer.mask.intersection_count(&above.mask)?;
            if shared > 0 {
                return Err(Error::argument(format!(
                    "ticket {:?} cannot be taken off before {:?}, which was applied later and shares {shared} \
                     entries with it: take {:?} off first",
                    layer.name, above.name, above.name
                )));
            }
        }
        Ok(at)
    }

    /// Notes the version in which this stack leaves the parameters.
    fn left(&mut self, params: &Params) {
        self.version = params.version();
    }
}

fn put_back(exec: &Exec, params: &Params, mask: &Mask, kept: &[(usize, Tensor)]) -> Result<()> {
    let result = kept
        .iter()
        .try_for_each(|(i, old)| scatter::scatter_in_place(exec, params.get(*i), &mask.index(*i)?, old));
    params.touch();
    result
}
