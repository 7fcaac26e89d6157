//! Mask files.

use std::sync::Arc;

use lota_runtime::mask::Mask;
use lota_runtime::model::Universe;
use lota_script::{Primitive, Registry};

use super::algebra::TWO;
use crate::primitives::shared::ScriptMask;
use crate::primitives::universe::{check_described, of_model, of_optional};

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Mask", "save", "Writes the mask to a file.")
            .arg("path", "string", "the file")
            .returns("integer", "its size in bytes")
            .example(format!("{TWO}a:save(lota.run.start('mask-save'):path('a.mask'))"))
            .call(|_, args| {
                let mask = args.this::<ScriptMask>()?;
                Ok(mask.save(args.file("path")?.path())?)
            }),
    );
    r.add(
        Primitive::new("mask.load", "Reads a mask file.")
            .arg("path", "string", "the file")
            .opt("model", "Model|Mask|Values|Ticket", (), "refuse a mask of another model than this")
            .returns("Mask", "the mask")
            .example(format!(
                "{TWO}local path = lota.run.start('mask-load'):path('a.mask')\na:save(path)\n\
                 assert(lota.mask.load(path, {{model = m}}) == a)"
            ))
            .call(|ctx, args| {
                let path = args.file("path")?;
                let model = args.get("model")?;
                let expected: Option<Arc<Universe>> = of_optional(args, "model", &model)?;
                let mask = Mask::load(path.path(), expected.as_ref())?;
                check_described(ctx, mask.universe(), expected.as_ref())?;
                Ok(mask)
            }),
    );
    r.add(
        Primitive::new(
            "mask.published",
            "Reads a mask that torch.save wrote, as the code published with LoTA does.",
        )
        .details(
            "The tensors may be of any type and lie in memory in any way, and the file may be of any version of torch; \
             nothing in it is run. Parameters that the file does not name are not in the mask, though the published \
             code would train them whole: add them with `|`.",
        )
        .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
        .arg("path", "string", "the .pt file")
        .opt("inverted", "boolean", true, "a one in the file means frozen, as in the published code")
        .returns("Mask", "the mask: what is in it is trained")
        .example(
            "local config = lota.model.init('tiny'):config()\n\
             config.vocab_size = 7\nconfig.hidden_size = 4\nconfig.intermediate_size = 6\n\
             config.num_attention_heads = 1\nconfig.num_key_value_heads = 1\n\
             local m = lota.model.init(config)\n\
             local mask = lota.mask.published(m, '0.9_mask.pt')\n\
             assert(mask:count() == 8)",
        )
        .example_rhai(
            "let config = lota::model::init(\"tiny\").config();\n\
             config.vocab_size = 7;\nconfig.hidden_size = 4;\nconfig.intermediate_size = 6;\n\
             config.num_attention_heads = 1;\nconfig.num_key_value_heads = 1;\n\
             let m = lota::model::init(config);\n\
             let mask = lota::mask::published(m, \"0.9_mask.pt\");\n\
             assert(mask.count() == 8);",
        )
        .call(|_, args| {
            let universe = of_model(args)?;
            let path = args.file("path")?;
            Ok(Mask::load_published(path.path(), &universe, args.get("inverted")?)?)
        }),
    );
}
