//! `tokenizer.*` and `Tokenizer`: text to token ids and back.

use std::path::Path;
use std::sync::Arc;

use lota_runtime::host::COMMIT;
use lota_runtime::model::{Tokenizer, TokenizerTraining, train_tokenizer};
use lota_script::{Args, Ctx, Granted, Map, Op, Primitive, Registry, Result, Value};

use crate::primitives::shared::ScriptTokenizer;

/// The first line of every example.
const BEGIN: &str =
    "local t = lota.tokenizer.train({'one two three', 'two three four'}, {vocab = 280, min_frequency = 1})\n";

pub(super) fn register(r: &mut Registry) {
    r.area("tokenizer", "Tokenizers.");
    r.object("Tokenizer", "Turns text into token ids and back.");
    r.add(
        Primitive::new("tokenizer.train", "Trains a byte-level BPE tokenizer.")
            .details(
                "The same texts and options give the same tokenizer. With a vocabulary that only has room for the bytes, \
                 every byte is a token.",
            )
            .arg("texts", "list of string", "what to train on")
            .opt("vocab", "integer", 512, "tokens in all, bytes and special tokens included")
            .opt("alphabet", "string", "bytes", "bytes: any text can be read; seen: only the bytes of the texts are tokens")
            .opt("min_frequency", "integer", 2, "how often a pair must occur to become a token")
            .opt("bos", "string", (), "the token that begins a text")
            .opt("eos", "string", "<eos>", "the token that ends a text; an empty one is none")
            .opt("special", "list of string", (), "further special tokens")
            .returns("Tokenizer", "the tokenizer")
            .example(format!("{BEGIN}assert(t:decode(t:encode('two naïve threes')) == 'two naïve threes')"))
            .call(train),
    );
    r.add(
        Primitive::new("tokenizer.load", "Reads a tokenizer.json, or that of a model folder.")
            .arg("path", "string", "the file or the folder")
            .returns("Tokenizer", "the tokenizer")
            .example(format!(
                "{BEGIN}local run = lota.run.start('tokenizer-load')\nt:save(run:path('t'))\n\
                 assert(lota.tokenizer.load(run:path('t')):size() == t:size())"
            ))
            .call(|ctx, args| open(ctx, &args.get::<String>("path")?)),
    );
    methods(r);
}

/// The tokenizer at a path a script named.
pub(crate) fn open(ctx: &Ctx, path: &str) -> Result<Tokenizer> {
    let path = ctx.files.grant(path)?;
    let file = if path.is_dir() { path.join("tokenizer.json")? } else { path };
    Ok(Tokenizer::open(to_read(&file)?, &ctx.host.room)?)
}

/// The path of a `tokenizer.json`, with what is read beside it.
pub(crate) fn to_read(file: &Granted) -> Result<&Path> {
    Ok(file.file_to_read(&["tokenizer_config.json", COMMIT])?)
}

fn train(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let texts: Vec<String> = args.get("texts")?;
    let alphabet: String = args.get("alphabet")?;
    let eos: String = args.get("eos")?;
    let options = TokenizerTraining {
        vocab: args.get("vocab")?,
        min_frequency: args.get("min_frequency")?,
        all_bytes: match alphabet.as_str() {
            "bytes" => true,
            "seen" => false,
            other => return Err(args.not_one_of("alphabet", other, &["bytes", "seen"])),
        },
        bos: args.opt("bos")?,
        eos: Some(eos).filter(|e| !e.is_empty()),
        special: args.opt("special")?.unwrap_or_default(),
    };
    Ok(Value::object(ScriptTokenizer::new(train_tokenizer(&texts, &options, &ctx.host)?)))
}

fn methods(r: &mut Registry) {
    r.add(
        Primitive::method("Tokenizer", "encode", "The token ids of a text.")
            .arg("text", "string", "the text")
            .opt("special", "boolean", false, "add what the tokenizer puts around every text")
            .returns("list of integer", "token ids, from 0")
            .example(format!("{BEGIN}assert(#t:encode('two three') > 0)"))
            .call(|_, args| {
                let tokenizer = args.this::<ScriptTokenizer>()?;
                Ok(tokenizer.encode(&args.get::<String>("text")?, args.get("special")?)?)
            }),
    );
    r.add(
        Primitive::method("Tokenizer", "decode", "The text of token ids.")
            .arg("ids", "list of integer", "token ids, from 0")
            .opt("special", "boolean", false, "write special tokens out instead of leaving them away")
            .returns("string", "the text")
            .example(format!("{BEGIN}assert(t:decode(t:encode('four')) == 'four')"))
            .call(|_, args| {
                let tokenizer = args.this::<ScriptTokenizer>()?;
                let ids: Vec<u32> = args.get("ids")?;
                let special: bool = args.get("special")?;
                Ok(tokenizer.decode(&ids, !special)?)
            }),
    );
    r.add(
        Primitive::method("Tokenizer", "size", "One more than the largest token id.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(format!("{BEGIN}assert(#t == t:size())"))
            .call(|_, args| Ok(args.this::<ScriptTokenizer>()?.size())),
    );
    r.add(
        Primitive::method("Tokenizer", "special", "The special tokens that have a name.")
            .returns("map", "bos, eos, pad and unk, as far as there are any: each {token =, id =}")
            .example(format!("{BEGIN}assert(t:special().eos.token == '<eos>')"))
            .call(|_, args| {
                let tokenizer = args.this::<ScriptTokenizer>()?;
                let s = tokenizer.specials();
                let mut out = Map::new();
                for (name, special) in [("bos", &s.bos), ("eos", &s.eos), ("pad", &s.pad), ("unk", &s.unk)] {
                    if let Some(special) = special {
                        out.set(name, Map::new().with("token", special.token.clone()).with("id", special.id));
                    }
                }
                Ok(out)
            }),
    );
    r.add(
        Primitive::method("Tokenizer", "id", "The id of a token as the vocabulary spells it.")
            .arg("token", "string", "the token")
            .returns("integer", "the id; nil if there is no such token")
            .example(format!("{BEGIN}assert(t:id('<eos>') == t:special().eos.id)"))
            .call(|_, args| Ok(args.this::<ScriptTokenizer>()?.token_to_id(&args.get::<String>("token")?))),
    );
    r.add(
        Primitive::method("Tokenizer", "save", "Writes tokenizer.json and tokenizer_config.json.")
            .arg("dir", "string", "the folder; it is made if it does not exist")
            .example(format!("{BEGIN}t:save(lota.run.start('tokenizer-save'):path('t'))"))
            .call(|ctx, args| {
                let tokenizer = args.this::<ScriptTokenizer>()?;
                let dir = args.file("dir")?;
                Ok(tokenizer.save(dir.path(), &ctx.host)?)
            }),
    );
}

/// A tokenizer whose tokens are the 256 bytes and `<eos>`.
pub(crate) fn bytes(ctx: &Ctx) -> Result<Arc<Tokenizer>> {
    let options = TokenizerTraining { vocab: 257, ..TokenizerTraining::default() };
    Ok(Arc::new(train_tokenizer(&[], &options, &ctx.host)?))
}
