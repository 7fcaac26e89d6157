//! What a prompt asks of the interpreter: to keep values under names, to run a file among them, and
//! which names there are.

use std::collections::BTreeMap;

use rhai::{
    AST, Caches, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, GlobalRuntimeState,
    ImmutableString, Locked, Position, Scope, Shared, StmtBlock,
};

use super::object::Held;
use super::{Frontend, Prompt, error, shown};
use crate::counting::outside;
use crate::error::{Error, ErrorKind, Result};
use crate::{Name, Value};

impl Frontend {
    fn prompt(&self) -> Result<std::sync::MutexGuard<'_, Prompt>> {
        self.prompt.try_lock().map_err(|_| {
            Error::new(ErrorKind::Host, "the prompt is busy: a script cannot call it while it runs")
        })
    }

    /// Runs an input once, among the functions, constants and imports of those before it.
    fn eval_in(&self, prompt: &mut Prompt, input: &str, name: &str) -> Result<Dynamic> {
        let mut ast = self.compile(input, name)?;
        ast.set_source(name);
        let whole = prompt.functions.merge(&ast);
        let mut global = self.engine.new_global_runtime_state();
        global.source = Some(name.into());
        global.lib.push(whole.shared_lib().clone());
        global.constants = Some(constants(&prompt.scope));
        for (name, module) in prompt.imports.drain(..) {
            global.push_import(name, module);
        }
        let result = run(&self.engine, &mut global, &mut prompt.scope, &whole);
        // An input that fails keeps what it had declared by then.
        prompt.imports = global.scan_imports_raw().map(|(n, m)| (n.clone(), m.clone())).collect();
        prompt.functions = whole;
        prompt.functions.clear_statements();
        result.map_err(|e| error::from_rhai(&self.state, e, name))
    }
}

impl crate::Prompt for Frontend {
    /// One input of a prompt. What it gives, unless it is nothing, becomes the value of variables.
    fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>> {
        let mut prompt = self.prompt()?;
        self.state.tally.inside(|| {
            let value = self.eval_in(&mut prompt, input, "input")?;
            if value.is_unit() {
                return Ok(Vec::new());
            }
            for name in names {
                prompt.scope.set_or_push(name.clone(), value.clone());
            }
            Ok(outside(|| vec![shown(&self.state, &value)]))
        })
    }

    /// Runs a file's text in the prompt's scope.
    fn load(&self, source: &str, name: &str) -> Result<()> {
        let mut prompt = self.prompt()?;
        self.state.tally.inside(|| self.eval_in(&mut prompt, source, name).map(drop))
    }

    fn check(&self, input: &str) -> Result<()> {
        self.state.tally.inside(|| {
            self.compile(input, "input")?;
            // Only an open comment takes anything.
            if self.engine.compile(format!("{input}\n)")).is_ok() {
                let open = || Error::new(ErrorKind::Syntax, "a comment is not closed").incomplete(true);
                return Err(outside(open));
            }
            Ok(())
        })
    }

    fn imports(&self) -> Vec<String> {
        self.prompt()
            .map_or_else(|_| Vec::new(), |p| p.imports.iter().map(|(name, _)| name.to_string()).collect())
    }

    /// Removes variables.
    fn forget(&self, names: &[String]) {
        if let Ok(mut prompt) = self.prompt() {
            self.state.tally.inside(|| {
                for name in names {
                    let _ = prompt.scope.remove::<Dynamic>(name);
                }
            });
        }
    }

    /// The names of the scope, or of the object map that a path leads to.
    fn names(&self, path: &[&str]) -> Vec<Name> {
        let Ok(prompt) = self.prompt() else { return Vec::new() };
        let mut names: Vec<Name> = match path.split_first() {
            None => prompt.scope.iter_raw().map(|(name, _, value)| named(name, value)).collect(),
            Some((first, rest)) => {
                let Some(mut value) = prompt.scope.get(first).cloned() else { return Vec::new() };
                for part in rest {
                    let next = value.read_lock::<rhai::Map>().and_then(|map| map.get(*part).cloned());
                    let Some(next) = next else { return Vec::new() };
                    value = next;
                }
                let map = value.read_lock::<rhai::Map>();
                map.map_or_else(Vec::new, |map| map.iter().map(|(name, v)| named(name, v)).collect())
            }
        };
        // Of variables of one name the last one counts.
        names.reverse();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.dedup_by(|a, b| a.name == b.name);
        names
    }
}

/// Runs the statements of a tree in a scope, and leaves in `global` what they imported.
fn run(
    engine: &Engine,
    global: &mut GlobalRuntimeState,
    scope: &mut Scope<'static>,
    ast: &AST,
) -> std::result::Result<Dynamic, Box<EvalAltResult>> {
    let block = StmtBlock::new(ast.statements().iter().cloned(), Position::NONE, Position::NONE);
    let tree = Expr::Stmt(Box::new(block));
    let mut caches = Caches::new();
    let mut context = EvalContext::new(engine, global, &mut caches, scope, None);
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    let result = context.eval_expression_tree_raw(&Expression::from(&tree), false);
    result.or_else(|e| match *e {
        EvalAltResult::Return(value, _) | EvalAltResult::Exit(value, _) => Ok(value),
        _ => Err(e),
    })
}

type Constants = Shared<Locked<BTreeMap<ImmutableString, Dynamic>>>;

/// The constants of a scope, which functions reach as `global::NAME`. Of several of one name the last one counts.
fn constants(scope: &Scope<'_>) -> Constants {
    let found = scope.iter_raw().filter(|(_, constant, _)| *constant);
    let named: BTreeMap<_, _> = found.map(|(name, _, value)| (name.into(), value.clone())).collect();
    Shared::new(Locked::new(named))
}

fn named(name: &str, value: &Dynamic) -> Name {
    let ty = match value.read_lock::<Held>() {
        Some(held) => held.object().type_name().to_string(),
        // The words of completion: a map has fields.
        None if value.is_map() => "table".into(),
        None => rhai::Engine::new_raw().map_type_name(value.type_name()).to_string(),
    };
    Name { name: name.to_string(), ty, primitive: None }
}
