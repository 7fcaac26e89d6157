//! Loading and making models.

use std::sync::Arc;

use lota_runtime::model::{ChatTemplate, Config, Decoder, LoadOptions, Model, init, load};
use lota_runtime::ops::Exec;
use lota_script::{Args, Ctx, Error, Primitive, Registry, Result, Value, to_json};
use serde_json::{Value as Json, json};

use super::{TINY, dtype};
use crate::builtin;
use crate::machine::OnMachine as _;
use crate::primitives::shared::ScriptTokenizer;
use crate::primitives::tokenizer::{self, to_read};

pub(super) fn register(r: &mut Registry) {
    r.add(
        held(
            Primitive::new("model.load", "Loads a model.")
                .details(
                    "From a Hugging Face folder (config.json, safetensors, tokenizer.json), a .gguf file, or a hub id \
                     (owner/name, or owner/name/file.gguf) through the hub's cache.",
                )
                .arg("source", "string", "a folder, a .gguf file, or a hub id")
                .opt("tokenizer", "string", (), "a tokenizer.json to use instead of the model's own")
                .opt("revision", "string", (), "of a hub id: a branch, tag or commit instead of main")
                .opt("offline", "boolean", (), "of a hub id: use only what the cache has"),
        )
        .returns("Model", "the model")
        .example(format!(
            "{TINY}local dir = lota.run.start('model-load'):path('saved')\nm:save(dir)\n\
             assert(lota.model.load(dir):fingerprint() == m:fingerprint())"
        ))
        .call(loaded),
    );
    r.add(
        held(Primitive::new("model.builtin", "The small model that is built into lota."))
            .returns("Model", "the model")
            .example("local m = lota.model.builtin()\nassert(#m:generate('1+1=', {max_tokens = 3}) > 0)")
            .call(|ctx, args| {
                let options =
                    LoadOptions { dtype: dtype(args)?, exec: exec(ctx, args)?, ..LoadOptions::default() };
                templated(args, builtin::load_model(&options, &ctx.host)?)
            }),
    );
    r.add(
        held(
            Primitive::new("model.init", "A model with random weights, to be trained from scratch.")
                .details(
                    "The configuration is what Hugging Face's config.json holds; `vocab_size` may be left to the \
                     tokenizer. 'tiny' is a Llama of two layers and width 32 with bytes as tokens, for trying things \
                     out. Weights are normal with deviation `initializer_range` (0.02), divided by the root of twice \
                     the number of layers where they write into the residual stream.",
                )
                .arg("config", "map|string", "the configuration, or 'tiny'")
                .opt("seed", "integer", 0, "the seed of the weights")
                .opt("tokenizer", "Tokenizer|string", (), "the tokenizer, or the path of one"),
        )
        .returns("Model", "the model")
        .example("local m = lota.model.init('tiny', {seed = 7})\nassert(m:fingerprint() == lota.model.init('tiny', {seed = 7}):fingerprint())")
        .call(fresh),
    );
}

fn loaded(ctx: &Ctx, args: &mut Args) -> Result<Model> {
    // Where not all files are granted this is the full path of one that is, which is no hub id.
    let source = args.file("source")?;
    let tokenizer = args.opt_file("tokenizer")?;
    let tokenizer = tokenizer.map(|file| Ok::<_, Error>(to_read(&file)?.to_path_buf())).transpose()?;
    let mut hub = ctx.machine()?.hub.clone();
    hub.revision = args.opt("revision")?.or(hub.revision);
    hub.offline = args.opt("offline")?.unwrap_or(hub.offline);
    let options = LoadOptions { dtype: dtype(args)?, exec: exec(ctx, args)?, tokenizer, hub };
    templated(args, load(&source.folder_to_read()?.to_string_lossy(), &options, &ctx.host)?)
}

/// The model with the chat template that the option asks for.
fn templated(args: &mut Args, mut model: Model) -> Result<Model> {
    if let Some(source) = args.opt::<String>("chat_template")? {
        model.chat_template = Some(ChatTemplate::new(source).map_err(|e| args.wrong("chat_template", e))?);
    }
    Ok(model)
}

/// The options every way of getting a model has.
fn held(record: Primitive) -> Primitive {
    record
        .large()
        .opt("dtype", "string", "f32", "how matrices are held: f32 or bf16")
        .opt(
            "compute",
            "string",
            (),
            "what products multiply as: f32 or bf16 (faster); that of this run if not given",
        )
        .opt("device", "string", (), "cpu, cuda:N or metal; that of this run if not given")
        .opt("chat_template", "string", (), "a Jinja chat template to use instead of the model's own")
}

fn exec(ctx: &Ctx, args: &mut Args) -> Result<Exec> {
    let exec = match args.opt::<String>("device")? {
        None => ctx.exec()?.clone(),
        Some(name) if name == ctx.machine()?.device => ctx.exec()?.clone(),
        Some(name) => ctx.machine()?.exec_on(ctx.device_or_default(Some(&name))?)?,
    };
    Ok(match args.opt::<String>("compute")? {
        None => exec,
        Some(word) => exec.with_compute(
            word.parse().map_err(|_| args.wrong("compute", format!("must be f32 or bf16, not '{word}'")))?,
        ),
    })
}

fn tiny() -> Json {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 257, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256, "hidden_act": "silu",
        "tie_word_embeddings": true
    })
}

fn fresh(ctx: &Ctx, args: &mut Args) -> Result<Model> {
    let given: Value = args.get("config")?;
    let mut own = match args.get::<Value>("tokenizer")? {
        Value::Nil => None,
        Value::Str(path) => Some(Arc::new(tokenizer::open(ctx, &path)?)),
        Value::Object(object) => match object.downcast_ref::<ScriptTokenizer>() {
            Some(tokenizer) => Some(tokenizer.0.clone()),
            None => {
                return Err(args.wrong(
                    "tokenizer",
                    format!("must be a Tokenizer or a path, got {}", object.type_name()),
                ));
            }
        },
        other => {
            return Err(
                args.wrong("tokenizer", format!("must be a Tokenizer or a path, got {}", other.describe()))
            );
        }
    };
    let mut json = match given {
        Value::Str(word) if word == "tiny" => {
            if own.is_none() {
                own = Some(tokenizer::bytes(ctx)?);
            }
            tiny()
        }
        Value::Map(_) => to_json(&given)?,
        other => {
            return Err(args.wrong("config", format!("must be a map or 'tiny', got {}", other.describe())));
        }
    };
    if let (Some(tokenizer), Some(map)) = (&own, json.as_object_mut()) {
        map.entry("vocab_size").or_insert_with(|| tokenizer.size().into());
    }
    let config = Config::from_json(&json).map_err(|e| Error::argument(format!("argument 'config': {e}")))?;
    if let Some(tokenizer) = own.as_ref().filter(|t| t.size() > config.vocab_size) {
        let what = format!(
            "has {} tokens, but the configuration's vocab_size is {}",
            tokenizer.size(),
            config.vocab_size
        );
        return Err(args.wrong("tokenizer", what));
    }
    let seed = args.get::<i64>("seed")? as u64;
    let (dtype, exec) = (dtype(args)?, exec(ctx, args)?);
    let decoder = Decoder::new(&config)?;
    let bytes = decoder.universe().entries().saturating_mul(dtype.size_in_bytes() as u64);
    ctx.reserve(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    let params = init::random(&decoder, seed, dtype, &exec, &ctx.host)?;
    let model = Model::new(config, params, exec, "random weights")?;
    let model = match own {
        Some(tokenizer) => model.with_tokenizer(tokenizer),
        None => model,
    };
    templated(args, model)
}
