//! What a script gives to be merged: models, snapshots, tickets, task vectors and paths, each with
//! settings of its own.

use std::sync::Arc;

use lota_runtime::merge::{
    Body, Config, Folder, Held, Input, Method, Overlay, Reference, Settings, Source, method,
};
use lota_runtime::model::{Hold, LoadOptions, Model, load};
use lota_runtime::ticket::Ticket;
use lota_runtime::vectors::Values;
use lota_script::{Args, Ctx, Error, FromValue, Granted, Map, Object, Result, ScriptFn, Value, to_json};

use super::bare;
use super::own::{OwnMethod, names_of};
use crate::machine::OnMachine as _;
use crate::primitives::model::{ScriptModel, Snapshot};
use crate::primitives::shared::{ScriptTicket, ScriptValues};

/// One thing to merge.
enum Thing {
    Model(Arc<ScriptModel>),
    Snapshot(Arc<Snapshot>),
    Ticket(ScriptTicket),
    Vector(Arc<Values>),
    Path(Granted, Arc<dyn Input>),
}

struct Item {
    label: String,
    value: Value,
    thing: Thing,
    settings: Settings,
}

/// A merge as a script asks for it.
pub(super) struct Given {
    items: Vec<Item>,
    /// The place of the base among the items, and whether it is one of the models too.
    base: Option<(usize, bool)>,
    method: String,
    pub own: Option<Arc<dyn Method>>,
    shared: Settings,
    any_base: bool,
    /// A method of the script cannot change the models that it merges.
    _holds: Vec<Hold>,
}

impl Given {
    pub(super) fn read(ctx: &Ctx, args: &mut Args, list: &str, base: Option<Value>) -> Result<Self> {
        let values: Vec<Value> = args.get(list)?;
        if values.is_empty() {
            return Err(args.wrong(list, "must hold one entry at least"));
        }
        let any_base: bool = args.get("any_base")?;
        let mut items = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            let (value, settings) = match value {
                Value::Map(mut map) => {
                    let model = map.take("model");
                    let wrong =
                        || args.wrong(list, format!("[{}] has no model", i as i64 + ctx.index_base()));
                    (model.ok_or_else(wrong)?, settings(map)?)
                }
                other => (other, Settings::new()),
            };
            let label = format!("model {}", i + 1);
            let thing = thing(ctx, &value, &label)
                .ok_or_else(|| {
                    let what = "must be a Model, Snapshot, Ticket, Values or path, got";
                    args.wrong(list, format!("[{}] {what} {}", i as i64 + ctx.index_base(), value.describe()))
                })
                .and_then(|thing| thing)?;
            items.push(Item { label, value, thing, settings });
        }
        let base = match base {
            None => None,
            Some(value) => Some(match items.iter().position(|item| same(&item.value, &value)) {
                Some(at) => (at, true),
                None => {
                    let thing = thing(ctx, &value, "base").transpose()?;
                    let thing = thing.filter(|t| !matches!(t, Thing::Ticket(_) | Thing::Vector(_)));
                    let wrong = || {
                        args.wrong(
                            "base",
                            format!("must be a Model, a Snapshot or a path, got {}", value.describe()),
                        )
                    };
                    let thing = thing.ok_or_else(wrong)?;
                    items.push(Item { label: "base".into(), value, thing, settings: Settings::new() });
                    (items.len() - 1, false)
                }
            }),
        };
        let shared = settings(args.extra())?;
        let (name, own): (String, Option<Arc<dyn Method>>) = match args.get::<Value>("method")? {
            Value::Str(name) => {
                let known = method(&name).map_err(|e| args.wrong("method", e))?;
                check_names(known.as_ref(), &shared, &items)?;
                (name, None)
            }
            Value::Function(function) => {
                let each = items.iter().flat_map(|i| i.settings.keys().cloned());
                let params = names_of(&shared, each);
                let own = OwnMethod::new("the method of the script", params, function);
                (own.spec().name.to_string(), Some(Arc::new(own)))
            }
            other => {
                return Err(
                    args.wrong("method", format!("must be a name or a function, got {}", other.describe()))
                );
            }
        };
        let holds = items.iter().filter_map(|item| match &item.thing {
            Thing::Model(model) => Some(model.params().hold("a merge")),
            _ => None,
        });
        Ok(Self { _holds: holds.collect(), items, base, method: name, own, shared, any_base })
    }

    /// The configuration that says the same.
    pub(super) fn config(&self) -> Config {
        let listed = |(i, _): &(usize, &Item)| self.base != Some((*i, false));
        let source = |(_, item): (usize, &Item)| Source {
            model: Reference::new(&item.label),
            layers: None,
            parameters: item.settings.clone(),
        };
        Config {
            name: None,
            method: self.method.clone(),
            base: self.base.map(|(at, _)| Reference::new(&self.items[at].label)),
            dtype: None,
            out_dtype: None,
            tokenizer: None,
            chat_template: None,
            parameters: self.shared.clone(),
            module_parameters: Settings::new(),
            body: Body::Models(self.items.iter().enumerate().filter(listed).map(source).collect()),
            notices: Vec::new(),
        }
    }

    /// The inputs, in the order of the configuration's references.
    pub(super) fn inputs(&self, config: &Config) -> Result<Vec<Arc<dyn Input>>> {
        let base = self.base.map(|(at, _)| self.plain(&self.items[at])).transpose()?.flatten();
        let mut inputs = Vec::new();
        for reference in config.references() {
            let item = self.items.iter().find(|item| item.label == reference.model);
            let item =
                item.ok_or_else(|| Error::runtime(format!("{reference} is no model of this merge")))?;
            inputs.push(match self.plain(item)? {
                Some(input) => input,
                None => self.over(item, base.as_ref())?,
            });
        }
        Ok(inputs)
    }

    /// A thing that is a model by itself.
    fn plain(&self, item: &Item) -> Result<Option<Arc<dyn Input>>> {
        Ok(match &item.thing {
            Thing::Model(model) => Some(Arc::new(Held::of(&item.label, &model.0))),
            Thing::Snapshot(snapshot) => {
                Some(Arc::new(Held::new(&item.label, snapshot.params().clone(), None)))
            }
            Thing::Path(_, input) => Some(input.clone()),
            Thing::Ticket(_) | Thing::Vector(_) => None,
        })
    }

    /// A thing that lies over the base.
    fn over(&self, item: &Item, base: Option<&Arc<dyn Input>>) -> Result<Arc<dyn Input>> {
        let base = base.ok_or_else(|| {
            Error::argument(format!("{} is a {}, which needs a base", item.label, item.value.type_name()))
        })?;
        Ok(match &item.thing {
            Thing::Ticket(ticket) => {
                self.check(ticket, &item.label)?;
                Arc::new(Overlay::ticket(&item.label, base.clone(), ticket.0.clone())?)
            }
            Thing::Vector(vector) => Arc::new(Overlay::vector(&item.label, base.clone(), vector.clone())?),
            _ => base.clone(),
        })
    }

    /// An error unless a ticket belongs to the base, as far as that is a loaded model.
    fn check(&self, ticket: &Ticket, label: &str) -> Result<()> {
        let Some((at, _)) = self.base else { return Ok(()) };
        let Thing::Model(model) = &self.items[at].thing else { return Ok(()) };
        bare(model)?;
        if self.any_base {
            return Ok(());
        }
        let base = model.params().fingerprint(&model.0.exec)?;
        ticket
            .check(model.params(), &base)
            .map_err(|e| Error::argument(format!("{label}: {e} (any_base merges it all the same)")))
    }

    /// The model that the result is to be like: the base, or else the first.
    pub(super) fn like(&self, ctx: &Ctx) -> Result<Arc<Model>> {
        let first = self.base.map(|(at, _)| &self.items[at]);
        let model = |item: &Item| match &item.thing {
            Thing::Model(model) => Some(model.0.clone()),
            _ => None,
        };
        if let Some(found) = first.into_iter().chain(&self.items).find_map(model) {
            return Ok(found);
        }
        let path = |item: &Item| match &item.thing {
            Thing::Path(path, _) => Some(path.clone()),
            _ => None,
        };
        let path = first.into_iter().chain(&self.items).find_map(path).ok_or_else(|| {
            Error::argument("one of what is merged, or the base, must be a Model or a path: snapshots know no configuration")
        })?;
        let options = LoadOptions { exec: ctx.exec()?.clone(), ..LoadOptions::default() };
        Ok(Arc::new(load(&path.folder_to_read()?.to_string_lossy(), &options, &ctx.host)?))
    }

    /// Those of the things that are tickets.
    pub(super) fn tickets(&self) -> Vec<ScriptTicket> {
        self.items
            .iter()
            .filter_map(|i| if let Thing::Ticket(t) = &i.thing { Some(t.clone()) } else { None })
            .collect()
    }

    /// The number of things besides the base.
    pub(super) fn count(&self) -> usize {
        self.items.len() - usize::from(self.base.is_some_and(|(_, listed)| !listed))
    }
}

/// The model that a value is.
pub(super) fn model(value: &Value) -> Option<Arc<ScriptModel>> {
    match value {
        Value::Object(object) => object.downcast(),
        _ => None,
    }
}

/// A value as an input for a report: a model, a snapshot or a path; tickets and task vectors over `base`.
pub(super) fn as_input(
    ctx: &Ctx,
    value: &Value,
    label: &str,
    base: Option<&Arc<dyn Input>>,
) -> Option<Result<Arc<dyn Input>>> {
    let made = match thing(ctx, value, label)? {
        Ok(made) => made,
        Err(e) => return Some(Err(e)),
    };
    let over = |make: &dyn Fn(Arc<dyn Input>) -> lota_runtime::Result<Overlay>| {
        let base = base.ok_or_else(|| Error::argument(format!("{label} needs a base")))?;
        Ok(Arc::new(make(base.clone())?) as Arc<dyn Input>)
    };
    Some(match made {
        Thing::Model(model) => Ok(Arc::new(Held::of(label, &model.0))),
        Thing::Snapshot(snapshot) => Ok(Arc::new(Held::new(label, snapshot.params().clone(), None))),
        Thing::Path(_, input) => Ok(input),
        Thing::Ticket(ticket) => over(&|base| Overlay::ticket(label, base, ticket.0.clone())),
        Thing::Vector(vector) => over(&|base| Overlay::vector(label, base, vector.clone())),
    })
}

fn thing(ctx: &Ctx, value: &Value, label: &str) -> Option<Result<Thing>> {
    let of = |object: &Object| {
        object
            .downcast()
            .map(Thing::Model)
            .or_else(|| object.downcast().map(Thing::Snapshot))
            .or_else(|| object.downcast_ref().cloned().map(Thing::Ticket))
            .or_else(|| object.downcast_ref::<ScriptValues>().map(|values| Thing::Vector(values.get())))
    };
    match value {
        Value::Object(object) => of(object).map(Ok),
        Value::Str(path) => Some(open(ctx, path, label)),
        _ => None,
    }
}

fn open(ctx: &Ctx, path: &str, label: &str) -> Result<Thing> {
    let path = ctx.files.grant(path)?;
    let input: Arc<dyn Input> = if path.is_dir() {
        Arc::new(Folder::open(path.folder_to_read()?, label)?)
    } else {
        let options = LoadOptions {
            exec: ctx.exec()?.clone(),
            hub: ctx.machine()?.hub.clone(),
            ..LoadOptions::default()
        };
        Arc::new(Held::of(label, &load(&path.folder_to_read()?.to_string_lossy(), &options, &ctx.host)?))
    };
    Ok(Thing::Path(path, input))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.same(b),
        (Value::Str(a), Value::Str(b)) => a == b,
        _ => false,
    }
}

fn settings(map: Map) -> Result<Settings> {
    match to_json(&Value::Map(map))? {
        serde_json::Value::Object(settings) => Ok(settings),
        _ => Ok(Settings::new()),
    }
}

/// An error for a setting that the method does not have.
fn check_names(method: &dyn Method, shared: &Settings, items: &[Item]) -> Result<()> {
    let names: Vec<&str> = method.spec().params.iter().map(|p| p.name.as_ref()).collect();
    for name in shared.keys().chain(items.iter().flat_map(|i| i.settings.keys())) {
        if !names.contains(&name.as_str()) {
            let hint =
                lota_script::did_you_mean(name, names.iter().copied()).unwrap_or_else(|| match names.len() {
                    0 => "; it has none".to_string(),
                    _ => format!("; it has {}", names.join(", ")),
                });
            return Err(Error::argument(format!("{} has no parameter '{name}'{hint}", method.spec().name)));
        }
    }
    Ok(())
}

/// The functions of an option that maps names to methods.
pub(super) fn functions(args: &mut Args, name: &str) -> Result<Vec<(String, Arc<dyn ScriptFn>)>> {
    let map = args.opt::<Map>(name)?.unwrap_or_default();
    map.into_iter()
        .map(|(key, value)| {
            let function = <Arc<dyn ScriptFn>>::from_value(value)
                .map_err(|m| args.mismatched(name, &m.inside(&format!(".{key}"))))?;
            Ok((key, function))
        })
        .collect()
}
