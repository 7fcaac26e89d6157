//! A model's weights: reading, writing and hashing them.

use std::sync::Arc;

use candle_core::DType;
use lota_runtime::mask::{Part, hash};
use lota_runtime::model::SaveOptions;
use lota_script::{Args, Ctx, Map, Op, Registry, Result, Value, from_json};

use super::{ScriptModel, TINY, method, overwrite};
use crate::error::Told as _;
use crate::primitives::params::describe;
use crate::primitives::shared::ScriptMask;
use crate::primitives::tensor::{ScriptTensor, refuse_weights};

pub(super) fn register(r: &mut Registry) {
    let name = "model.layers.0.mlp.up_proj.weight";
    r.add(
        method("param", "A copy of a parameter.")
            .arg("name", "string", "its Hugging Face name")
            .returns("Tensor", "its values, in the type it is held in")
            .example(format!("{TINY}assert(m:param('{name}'):shape()[2] == 32)"))
            .call(|_, args| {
                let model = args.this::<ScriptModel>()?;
                let copy = model.params().by_name(&args.get::<String>("name")?)?.copy().told()?;
                Ok(ScriptTensor::of_weights(copy, &model.0))
            }),
    );
    r.add(
        method("set_param", "Overwrites a parameter.")
            .arg("name", "string", "its Hugging Face name")
            .arg(
                "values",
                "Tensor",
                "the new values, in its shape; they are rounded to the type it is held in",
            )
            .example(format!("{TINY}m:set_param('{name}', m:param('{name}'):mul(2))"))
            .call(set_param),
    );
    r.add(
        method("params", "The parameters of the model.")
            .returns(
                "list of map",
                "name, shape, role, layer (from 0, as in names; nil outside the layers) and entries of each",
            )
            .example(format!("{TINY}assert(m:params()[1].name == 'model.embed_tokens.weight')"))
            .call(|_, args| {
                let model = args.this::<ScriptModel>()?;
                Ok(model.params().universe().specs().iter().map(describe).collect::<Vec<Map>>())
            }),
    );
    r.add(
        method("entries", "The number of entries of all parameters together.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(format!("{TINY}assert(m:entries() == #m)"))
            .call(|_, args| Ok(args.this::<ScriptModel>()?.params().universe().entries())),
    );
    r.add(
        method("untied", "A copy whose head is a weight of its own.")
            .details(
                "In many small models the head is the embedding (`tie_word_embeddings`): a change of one is a change of both. \
                 The copy has a parameter `lm_head.weight` with the numbers of the embedding, computes the same, and has \
                 another fingerprint. Factors of low rank are not copied.",
            )
            .returns("Model", "the copy")
            .example(format!("{TINY}assert(#m:untied():params() == #m:params() + 1)"))
            .call(|_, args| Ok(args.this::<ScriptModel>()?.0.untied()?)),
    );
    r.add(
        method("config", "The model's configuration, as its config.json has it.")
            .returns("map", "the fields")
            .example(format!("{TINY}assert(m:config().hidden_size == 32)"))
            .call(|_, args| {
                let model = args.this::<ScriptModel>()?;
                Ok(from_json(serde_json::Value::Object(model.0.config.json().clone())))
            }),
    );
    r.add(
        method("info", "What there is to know about the model at a glance.")
            .returns("map", "architecture, family, source, entries, bytes, dtype, layers, hidden, heads, vocab, context, …")
            .example(format!("{TINY}assert(m:info().layers == 2)"))
            .call(|_, args| {
                let info = args.this::<ScriptModel>()?.0.info();
                let json = serde_json::to_value(info).map_err(|e| lota_script::Error::runtime(e.to_string()))?;
                Ok(from_json(json))
            }),
    );
    r.add(
        method(
            "fingerprint",
            "A hash of names, shapes and values of the parameters: which weights these are.",
        )
        .details(
            "Equal for the same values, whatever file or type they came from. Tickets name their base by it.",
        )
        .returns("string", "hexadecimal")
        .example(format!("{TINY}assert(m:fingerprint() == m:clone():fingerprint())"))
        .call(|_, args| Ok(args.this::<ScriptModel>()?.0.fingerprint()?)),
    );
    r.add(
        method(
            "hash",
            "A hash of the bits of the weights, or of part of them: the proof that they did not move.",
        )
        .opt("mask", "Mask", (), "hash only the entries in this mask")
        .opt("outside", "Mask", (), "hash only the entries outside of this mask")
        .returns("string", "hexadecimal")
        .example(format!(
            "{TINY}local mask = lota.mask.all(m, {{params = '*.mlp.*'}})\n\
                 local frozen = m:hash{{outside = mask}}\n\
                 m:set_param('{name}', m:param('{name}'):mul(2))\n\
                 assert(m:hash{{outside = mask}} == frozen and m:hash() ~= frozen)"
        ))
        .call(hashed),
    );
    r.add(
        method("save", "Writes the model as a Hugging Face folder, which transformers and other tools load.")
            .arg("dir", "string", "the folder")
            .opt("dtype", "string", (), "f32, bf16 or f16; the type the weights are held in if not given")
            .opt(
                "shard",
                "string|integer",
                "5GB",
                "the most bytes of tensors in one file, as a number or 500MB, 2GB, …",
            )
            .returns("list of string", "the files")
            .example(format!(
                "{TINY}assert(#m:save(lota.run.start('model-save'):path('saved'), {{dtype = 'f16'}}) > 0)"
            ))
            .call(save),
    );
    r.add(
        method("clone", "A model that shares no weights with this one.")
            .returns("Model", "the copy")
            .example(format!("{TINY}local copy = m:clone()"))
            .call(|_, args| Ok(args.this::<ScriptModel>()?.0.duplicate()?)),
    );
}

fn save(ctx: &Ctx, args: &mut Args) -> Result<Vec<String>> {
    let model = args.this::<ScriptModel>()?;
    let folder = args.file("dir")?;
    let dtype = match args.opt::<String>("dtype")?.as_deref() {
        None => None,
        Some("f32") => Some(DType::F32),
        Some("bf16") => Some(DType::BF16),
        Some("f16") => Some(DType::F16),
        Some(other) => return Err(args.not_one_of("dtype", other, &["f32", "bf16", "f16"])),
    };
    let shard_bytes = shard_bytes(args)?;
    let files = model.0.save(folder.path(), &SaveOptions { dtype, shard_bytes }, &ctx.host)?;
    Ok(files.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

/// The bytes that the option `shard` says.
pub(crate) fn shard_bytes(args: &mut Args) -> Result<u64> {
    let given = args.get::<Value>("shard")?;
    let bytes = match &given {
        Value::Int(bytes) if *bytes > 0 => Some(*bytes as u64),
        Value::Str(text) => size(text),
        _ => None,
    };
    bytes.ok_or_else(|| {
        let what = "must be a number of bytes or a size such as 500MB or 2GB, got";
        args.wrong("shard", format!("{what} {}", given.describe()))
    })
}

/// The bytes of a size as people write it, in powers of 1000 as file sizes are.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    (number * unit >= 1.0 && number.is_finite()).then_some((number * unit) as u64)
}

fn set_param(_: &Ctx, args: &mut Args) -> Result<()> {
    let model = args.this::<ScriptModel>()?;
    model.params().check_free()?;
    args.given().try_for_each(refuse_weights)?;
    let name: String = args.get("name")?;
    let values = args.get::<Arc<ScriptTensor>>("values")?.get();
    let universe = model.params().universe();
    let index = universe.get(&name)?;
    let shape = &universe.spec(index).shape;
    if values.dims() != shape {
        let what = format!("must have the shape of {name}, {shape:?}, and has {:?}", values.dims());
        return Err(args.wrong("values", what));
    }
    overwrite(model.params(), index, &values)?;
    model.params().touch();
    Ok(())
}

fn hashed(ctx: &Ctx, args: &mut Args) -> Result<String> {
    let model = args.this::<ScriptModel>()?;
    let (inside, outside): (Option<ScriptMask>, Option<ScriptMask>) =
        (args.opt("mask")?, args.opt("outside")?);
    let part = match (&inside, &outside) {
        (None, None) => Part::All,
        (Some(mask), None) => Part::In(mask),
        (None, Some(mask)) => Part::Outside(mask),
        (Some(_), Some(_)) => return Err(args.wrong("mask", "and option 'outside' exclude each other")),
    };
    Ok(hash(model.params(), part, &ctx.host)?)
}
