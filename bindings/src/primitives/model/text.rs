//! Text in and out of a model: tokens and chats.

use lota_runtime::model::ChatOptions;
use lota_script::{Args, Ctx, Registry, Result, Value, to_json};

use super::{ScriptModel, TINY, method};
use crate::primitives::shared::Shared;

pub(super) fn register(r: &mut Registry) {
    r.add(
        method("tokenize", "The token ids of a text.")
            .arg("text", "string", "the text")
            .opt("special", "boolean", false, "add what the tokenizer puts around every text")
            .returns("list of integer", "token ids, from 0")
            .example(format!("{TINY}assert(#m:tokenize('hello') == 5)"))
            .call(|_, args| {
                let model = args.this::<ScriptModel>()?;
                Ok(model.tokenizer()?.encode(&args.get::<String>("text")?, args.get("special")?)?)
            }),
    );
    r.add(
        method("detokenize", "The text of token ids.")
            .arg("ids", "list of integer", "token ids, from 0")
            .opt("special", "boolean", false, "write special tokens out instead of leaving them away")
            .returns("string", "the text")
            .example(format!("{TINY}assert(m:detokenize(m:tokenize('hello')) == 'hello')"))
            .call(|_, args| {
                let model = args.this::<ScriptModel>()?;
                let ids: Vec<u32> = args.get("ids")?;
                let special: bool = args.get("special")?;
                Ok(model.tokenizer()?.decode(&ids, !special)?)
            }),
    );
    r.add(
        method("tokenizer", "The model's tokenizer.")
            .returns("Tokenizer", "the tokenizer")
            .example(format!("{TINY}assert(m:tokenizer():size() == 257)"))
            .call(|_, args| Ok(Value::object(Shared(args.this::<ScriptModel>()?.tokenizer()?.clone())))),
    );
    r.add(
        method("chat", "The text of a conversation, by the model's chat template.")
            .arg("messages", "list of map", "the messages, each {role =, content =}")
            .opt("add_generation_prompt", "boolean", true, "end where the assistant's answer begins")
            .opt("tools", "list", (), "descriptions of tools, for templates that know them")
            .opt("now", "integer", (), "the time in seconds since 1970, for templates that write the date")
            .opt("variables", "map", (), "further variables of the template, by name (enable_thinking, …)")
            .returns("string", "the text")
            .example(
                "local m = lota.model.init('tiny', {chat_template = '{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}'})\n\
                 assert(m:chat({{role = 'user', content = 'Hello!'}}) == '<user>Hello!')",
            )
            .call(chat),
    );
}

fn chat(ctx: &Ctx, args: &mut Args) -> Result<String> {
    let model = args.this::<ScriptModel>()?;
    let messages = to_json(&args.get("messages")?)?;
    let tools: Option<Value> = args.opt("tools")?;
    let variables: Option<Value> = args.opt("variables")?;
    let options = ChatOptions {
        add_generation_prompt: args.get("add_generation_prompt")?,
        tools: tools.as_ref().map(to_json).transpose()?,
        variables: match variables.as_ref().map(to_json).transpose()? {
            Some(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        },
        now: args.opt("now")?,
        cancel: ctx.host.cancel.clone(),
    };
    Ok(model.0.chat(&messages, &options)?)
}
