//! Names that people bring from PyTorch, and what to write instead. Names of primitives stand between backquotes.

use lota_script::Registry;

/// The place where a name is looked for (a type, or empty for the top table), the name, and what to write instead.
const NAMES: &[(&str, &[&str], &str)] = &[
    ("Tensor", &["view", "view_as", "reshape_as"], "write `Tensor:reshape`"),
    (
        "Tensor",
        &["transpose", "swapaxes", "swapdims", "T", "mT"],
        "write `Tensor:t` to swap two dimensions, `Tensor:permute` for any order",
    ),
    (
        "Tensor",
        &["backward", "grad", "zero_grad", "retain_grad"],
        "tensors hold no gradients: `grad` takes a loss and variables, and returns their gradients",
    ),
    (
        "Tensor",
        &["requires_grad_"],
        "write `Tensor:requires_grad`, which returns a variable with a copy of the numbers",
    ),
    ("Tensor", &["numpy", "tolist"], "write `Tensor:totable` for nested lists, `Tensor:item` for one number"),
    (
        "Tensor",
        &["cuda", "cpu", "mps", "metal"],
        "write `Tensor:to` with the device: 'cuda:0', 'cpu' or 'metal'",
    ),
    (
        "Tensor",
        &["float", "double", "half", "bfloat16", "int", "long", "bool", "type"],
        "write `Tensor:to` with the type: 'f32', 'f64', 'f16', 'bf16', 'i64', …",
    ),
    ("Tensor", &["size"], "write `Tensor:shape`"),
    ("Tensor", &["dim", "ndim", "ndimension"], "write `Tensor:rank`"),
    ("Tensor", &["numel", "nelement"], "write `Tensor:count`"),
    ("Tensor", &["mm", "bmm", "mv", "addmm"], "write `Tensor:matmul`"),
    ("Tensor", &["dot", "inner"], "write `Tensor:mul`, then `Tensor:sum`"),
    ("Tensor", &["scatter_add", "scatter_add_", "scatter_"], "write `Tensor:scatter`; its option add adds"),
    ("Tensor", &["kl_div"], "write `Tensor:kl` on log p, with log q as its argument"),
    ("Tensor", &["log_sigmoid"], "write `Tensor:logsigmoid`"),
    ("Tensor", &["argsort"], "`Tensor:sort` gives the values and the positions"),
    ("Tensor", &["median"], "write `Tensor:quantile` with 0.5"),
    ("Tensor", &["masked_fill", "masked_fill_"], "write `Tensor:where` on the condition"),
    ("Tensor", &["index_select", "take"], "write `Tensor:select`"),
    ("Tensor", &["chunk", "split"], "write `Tensor:narrow` for each part"),
    ("Tensor", &["repeat", "expand_as", "broadcast_to"], "write `Tensor:expand`"),
    ("Tensor", &["copy_", "fill_", "zero_"], "write `Tensor:set_`"),
    ("Tensor", &["contiguous"], "leave it out: no operation asks for it"),
    ("Tensor", &["amax"], "write `Tensor:max`"),
    ("Tensor", &["amin"], "write `Tensor:min`"),
    (
        "Model",
        &["parameters", "named_parameters", "state_dict"],
        "`Model:params` lists the parameters, `Model:param` gives one",
    ),
    ("Model", &["load_state_dict"], "`Model:set_param` sets a parameter, `Model:restore` a whole snapshot"),
    ("Model", &["forward"], "write `Model:logits` or `Model:logp`"),
    ("Model", &["train", "eval"], "leave it out: a model has no modes"),
    ("Model", &["to", "cuda", "half", "float"], "give `model.load` the options device and dtype"),
    ("Model", &["save_pretrained"], "write `Model:save`"),
    ("Model", &["zero_grad"], "leave it out: every step computes its gradients anew"),
    (
        "Trainer",
        &["zero_grad", "backward"],
        "`Trainer:step` computes gradients and updates the weights in one",
    ),
    ("Trainer", &["train"], "write `Trainer:fit`"),
    (
        "",
        &["manual_seed", "seed"],
        "there is no global state: `rng` makes a seeded generator, which functions that draw take as the option rng",
    ),
    (
        "",
        &["no_grad", "inference_mode", "enable_grad"],
        "leave it out: nothing is recorded unless it comes from `Tensor:requires_grad`",
    ),
    ("", &["from_numpy", "as_tensor", "Tensor", "FloatTensor", "LongTensor"], "write `tensor`"),
    ("", &["load"], "write `model.load` for a model, `ticket.load` for a ticket"),
    ("", &["save"], "write `Model:save` for a model, `Ticket:save` for a ticket"),
    ("", &["concat", "concatenate"], "write `cat`"),
    ("", &["linspace"], "write `arange`"),
    ("", &["randint"], "write `Rng:below`"),
    ("", &["optim"], "the optimizer is an option of `train.new`"),
    (
        "",
        &[
            "where",
            "softmax",
            "log_softmax",
            "logsumexp",
            "sort",
            "topk",
            "quantile",
            "std",
            "var",
            "nonzero",
            "masked_select",
            "scatter",
            "matmul",
            "exp",
            "log",
            "sqrt",
            "abs",
            "sum",
            "mean",
            "clamp",
            "maximum",
            "minimum",
        ],
        "it is a method of tensors",
    ),
    ("", &["einsum"], "write `Tensor:matmul`, with `Tensor:permute` where needed"),
];

/// Adds the names to a registry that has all primitives.
pub(crate) fn register(r: &mut Registry) {
    for (place, names, instead) in NAMES {
        for name in *names {
            r.elsewhere(place, name, instead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NAMES;

    #[test]
    fn what_to_write_instead_is_there() {
        let registry = crate::primitives::standard();
        for (place, names, instead) in NAMES {
            for name in *names {
                let own = if place.is_empty() { (*name).to_string() } else { format!("{place}:{name}") };
                assert!(registry.get(&own).is_none(), "{own} is a primitive itself");
            }
            for mentioned in instead.split('`').skip(1).step_by(2) {
                assert!(registry.get(mentioned).is_some(), "`{mentioned}` is no primitive");
            }
        }
    }
}
