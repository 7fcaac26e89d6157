//! `progress` and the bars it makes.

use std::sync::Mutex;

use lota_script::{Ctx, Primitive, Registry, Result, Scripted, Value};

/// A bar a script moves.
pub struct Bar {
    name: String,
    total: u64,
    last: Mutex<(u64, String)>,
}

/// Bytes of a name or a note: a bar keeps them for as long as it lives.
const LONGEST: usize = 500;

impl Scripted for Bar {
    const TYPE: &'static str = "Bar";

    fn show(&self) -> String {
        format!("Bar({}, {} of {})", self.name, self.state().0, self.total)
    }
}

impl Bar {
    fn state(&self) -> std::sync::MutexGuard<'_, (u64, String)> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn move_to(&self, ctx: &Ctx, done: u64, note: Option<String>) {
        let mut state = self.state();
        state.0 = done;
        if let Some(mut note) = note {
            let ends = note.char_indices().map(|(at, c)| at + c.len_utf8());
            note.truncate(ends.take_while(|end| *end <= LONGEST).last().unwrap_or(0));
            state.1 = note;
        }
        // A bar of unknown length ends when its count and its total agree.
        ctx.host.events.progress(&self.name, done, self.total, state.1.clone());
    }
}

pub(super) fn register(r: &mut Registry) {
    r.object("Bar", "A progress bar.");
    r.add(
        Primitive::new("progress", "Starts a progress bar, with the time left where output is a terminal.")
            .arg("name", "string", "a short name")
            .arg("total", "integer", "how many steps there are")
            .returns("Bar", "the bar")
            .example("local bar = lota.progress('demo', 3)\nfor i = 1, 3 do bar:update(i, 'step ' .. i) end\nbar:done()")
            .call(|ctx, args| {
                let name: String = args.get("name")?;
                if name.len() > LONGEST {
                    return Err(args.wrong("name", format!("is {} bytes long; {LONGEST} are the most", name.len())));
                }
                let bar = Bar { name, total: args.get("total")?, last: Mutex::default() };
                if bar.total > 0 {
                    bar.move_to(ctx, 0, None);
                }
                Ok(Value::object(bar))
            }),
    );
    r.add(
        Primitive::method("Bar", "update", "Moves the bar.")
            .arg("done", "integer", "steps finished")
            .arg_or("note", "string", (), "a short figure beside the bar; the last one stays if not given")
            .example("lota.progress('demo', 10):update(4, 'loss 1.23')")
            .call(|ctx, args| {
                let bar = args.this::<Bar>()?;
                let done: u64 = args.get("done")?;
                // The end is announced once, by done().
                bar.move_to(ctx, done.min(bar.total.saturating_sub(1)), args.opt("note")?);
                Ok(())
            }),
    );
    r.add(
        Primitive::method("Bar", "done", "Ends the bar.").example("lota.progress('demo', 10):done()").call(
            |ctx, args| -> Result<()> {
                let bar = args.this::<Bar>()?;
                bar.move_to(ctx, bar.total, None);
                Ok(())
            },
        ),
    );
}
