//! Safetensors files as tensors, and the texts in them.

use lota_runtime::data::TensorFile;
use lota_runtime::mask::glob_matches;
use lota_script::{Args, Ctx, FromValue, IntoValue, Map, Primitive, Registry, Result, Value, did_you_mean};

use crate::error::Told as _;
use crate::machine::OnMachine as _;
use crate::primitives::shared::Lota;

const FILE: &str = "local m, run = lota.model.init('tiny'), lota.run.start('data-tensors')\n\
                    m:save(run:path('m'), {dtype = 'f32'})\n\
                    local path = run:path('m') .. '/model.safetensors'\n";

const FILE_RHAI: &str = "let m = lota::model::init(\"tiny\");\nlet run = lota::run::start(\"data-tensors\");\n\
                         m.save(run.path(\"m\"), #{ dtype: \"f32\" });\n\
                         let path = run.path(\"m\") + \"/model.safetensors\";\n";

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("data.tensors", "The tensors of a safetensors file by their names.")
            .details(
                "Types that tensors do not have are read as the next wider one: BOOL as u8, I8 as i16, U16 as i32, U64 as i64. \
                 With mask.from_tensors it reads the masks of others' files, with values.new their values.",
            )
            .arg("path", "string", "the file")
            .opt(
                "names",
                "string|list of string",
                (),
                "only tensors whose names match a pattern: * is any run of characters, {a,b} one of several",
            )
            .returns("map", "a tensor by each name")
            .example(format!(
                "{FILE}local found = lota.data.tensors(path, {{names = '*.up_proj.weight'}})\n\
                 local up = 'model.layers.0.mlp.up_proj.weight'\nassert(found[up] == m:param(up))"
            ))
            .example_rhai(format!(
                "{FILE_RHAI}let found = lota::data::tensors(path, #{{ names: \"*.up_proj.weight\" }});\n\
                 let up = \"model.layers.0.mlp.up_proj.weight\";\nassert(found[up] == m.param(up));"
            ))
            .call(tensors),
    );
    r.add(
        Primitive::new("data.metadata", "The texts of a safetensors file that belong to no tensor.")
            .arg("path", "string", "the file")
            .returns("map", "a text by each key")
            .example(format!("{FILE}assert(lota.data.metadata(path).format == 'pt')"))
            .example_rhai(format!("{FILE_RHAI}assert(lota::data::metadata(path).format == \"pt\");"))
            .call(|ctx, args| {
                let path = args.file("path")?;
                let file = TensorFile::open(path.path())?;
                let metadata = &file.header().metadata;
                let bytes: usize =
                    metadata.iter().map(|(key, text)| key.len() + text.len() + size_of::<Value>()).sum();
                ctx.meter.value(bytes as u64)?;
                Ok(metadata
                    .iter()
                    .map(|(key, text)| (key.clone(), Value::from(text.as_str())))
                    .collect::<Map>())
            }),
    );
}

fn tensors(ctx: &Ctx, args: &mut Args) -> Result<Map> {
    let path = args.file("path")?;
    let patterns: Option<Vec<String>> = match args.get::<Value>("names")? {
        Value::Nil => None,
        Value::Str(pattern) => Some(vec![pattern]),
        other => Some(Vec::from_value(other).map_err(|m| args.mismatched("names", &m))?),
    };
    let mut file = TensorFile::open(path.path())?;
    let names = || file.header().tensors.iter().map(|entry| entry.name.as_str());
    for pattern in patterns.iter().flatten() {
        if !names().any(|name| glob_matches(pattern, name)) {
            let hint = did_you_mean(pattern, names()).unwrap_or_default();
            return Err(
                args.wrong("names", format!("has '{pattern}', which matches no tensor of the file{hint}"))
            );
        }
    }
    let wanted = |name: &str| patterns.as_ref().is_none_or(|all| all.iter().any(|p| glob_matches(p, name)));
    let entries: Vec<_> = file.header().tensors.iter().filter(|entry| wanted(&entry.name)).cloned().collect();
    // Bytes become two where a type is widened.
    let bytes = |entry: &lota_runtime::host::container::Entry| match entry.dtype.as_str() {
        "I8" | "U16" => 2 * entry.bytes(),
        _ => entry.bytes(),
    };
    ctx.reserve(entries.iter().map(bytes).sum::<u64>() as usize)?;
    let device = ctx.device_or_default(None)?;
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        ctx.host.cancel.check()?;
        let tensor = file.read(&entry)?.to_device(&device).told()?;
        found.push((entry.name, IntoValue::<Lota>::into_value(tensor)));
    }
    Ok(found.into_iter().collect())
}
