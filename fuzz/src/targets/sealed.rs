//! The files of our own that end with a hash of all of it: masks, tickets, values, statistics, trainings. Each is fed as
//! it is and with the hash made right.

use std::path::Path;
use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use lota_runtime::mask::Mask;
use lota_runtime::model::Model;
use lota_runtime::stats::Stats;
use lota_runtime::ticket::{Codec, Form, Ticket, TicketFile, ValueType};
use lota_runtime::train::Subject;
use lota_runtime::vectors::Values;

use super::bits;
use crate::mend::sealed;
use crate::{model, place, trainer};

/// Feeds a file as it is and sealed.
fn both(bytes: &[u8], feed: impl Fn(&Path) -> bool) -> bool {
    let mended = sealed(bytes.to_vec());
    let as_it_is = feed(&place::file("sealed", bytes));
    as_it_is | (mended != bytes && feed(&place::file("sealed", &mended)))
}

/// A ticket, in either form.
pub fn ticket(bytes: &[u8]) -> bool {
    both(bytes, |path| {
        let Ok(file) = TicketFile::read(path, None) else { return false };
        let differences = file.differences;
        let base = base();
        let Ok(ticket) = file.ticket(differences.then_some((&base.exec, &base.params))) else { return false };
        for codec in Codec::ALL {
            let written = place::path("ticket");
            ticket
                .save(&written, Form { codec, values: ValueType::F32, base: None })
                .expect("writes what it read");
            let again = Ticket::load(&written, None).expect("reads what it wrote");
            assert!(ticket.mask() == again.mask(), "{codec:?}: other entries after writing");
            for (param, ..) in ticket.mask().selected() {
                assert_eq!(bits(ticket.values(param)), bits(again.values(param)), "{codec:?}: {param}");
            }
            assert_eq!(ticket.meta(), again.meta());
        }
        true
    })
}

/// The base of tickets that hold differences.
fn base() -> &'static Model {
    static BASE: LazyLock<Model> = LazyLock::new(|| model(1));
    &BASE
}

/// A mask.
pub fn mask(bytes: &[u8]) -> bool {
    both(bytes, |path| {
        let Ok(mask) = Mask::load(path, None) else { return false };
        let written = place::path("mask");
        mask.save(&written).expect("writes what it read");
        let again = Mask::load(&written, Some(mask.universe())).expect("reads what it wrote");
        assert!(mask == again, "another mask after writing");
        assert!(mask.count() <= mask.universe().entries());
        true
    })
}

/// Values.
pub fn values(bytes: &[u8]) -> bool {
    both(bytes, |path| {
        let Ok(values) = Values::load(path, None) else { return false };
        let written = place::path("values");
        values.save(&written).expect("writes what it read");
        let again = Values::load(&written, Some(values.universe())).expect("reads what it wrote");
        assert!(values.entries() == again.entries(), "values of other entries after writing");
        for (i, spec, part) in values.present() {
            let found = again.part(i).map(|part| numbers(part.tensor()));
            assert_eq!(Some(numbers(part.tensor())), found, "{}", spec.name);
        }
        true
    })
}

fn numbers(tensor: &Tensor) -> Vec<u32> {
    bits(&tensor.flatten_all().and_then(|t| t.to_vec1()).expect("numbers"))
}

/// Statistics.
pub fn stats(bytes: &[u8]) -> bool {
    both(bytes, |path| {
        let Ok(stats) = Stats::load(path, None, &Device::Cpu) else { return false };
        let _ = stats.fisher();
        let written = place::path("stats");
        stats.save(&written).expect("writes what it read");
        let again = Stats::load(&written, Some(stats.universe()), &Device::Cpu).expect("reads what it wrote");
        let contents = |stats: &Stats| {
            let of = |kind| stats.of(kind).map(move |(i, _, tensor)| (kind, i, numbers(tensor)));
            stats.kinds().flat_map(of).collect::<Vec<_>>()
        };
        assert!(contents(&stats) == contents(&again), "other statistics after writing");
        true
    })
}

/// The file of a training, which goes on.
pub fn training(bytes: &[u8]) -> bool {
    both(bytes, |path| {
        let model = model(1);
        let mut trainer = trainer(&model);
        let subject = Subject { exec: &model.exec, decoder: &model.decoder, params: &model.params };
        let host = place::host();
        let Ok(saved) = trainer.read(subject, &host, path, None) else { return false };
        let companions = saved.companions().clone();
        trainer.resume(subject, saved).expect("what was read fits");
        let written = place::path("training");
        trainer.save(subject, &host, &written, &companions).expect("writes what it read");
        let again = trainer.read(subject, &host, &written, None).expect("reads what it wrote");
        assert_eq!(*again.companions(), companions, "another training after writing");
        true
    })
}
