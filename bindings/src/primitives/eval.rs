//! `eval.*`: measuring models.

use std::sync::Arc;

use lota_runtime::data::{Keep, encode_most};
use lota_runtime::eval::{Choice, Normalize, choose, perplexity};
use lota_script::{Args, Ctx, FromValue, Map, Mismatch, Primitive, Registry, Result, Value, to_json};

use super::data::limited_batches;
use super::model::{ScriptModel, TINY, generation, generation_options};

pub(super) fn register(r: &mut Registry) {
    r.area("eval", "Measuring models.");
    r.add(
        Primitive::new("eval.perplexity", "The mean loss of all labelled tokens.")
            .arg("model", "Model", "the model")
            .arg("data", "Examples|Batches|Batch|list of Batch", "the data; of a stream, its current epoch")
            .opt("limit", "integer", (), "use only so many batches")
            .returns("map", "loss (nats a token), perplexity, tokens (with a label), sequences")
            .example(format!(
                "{TINY}local e = lota.data.examples(m, {{{{prompt = '1+1=', target = '2'}}}})\n\
                 local r = lota.eval.perplexity(m, e)\nassert(math.abs(r.perplexity - math.exp(r.loss)) < 1e-6 and r.tokens == 2)"
            ))
            .call(|ctx, args| {
                let model: Arc<ScriptModel> = args.get("model")?;
                let batches = limited_batches(args, "data")?;
                let found = perplexity(&model.0, batches.iter().map(|b| &**b), &ctx.host)?;
                Ok(Map::new()
                    .with("loss", found.loss())
                    .with("perplexity", found.perplexity())
                    .with("tokens", found.tokens)
                    .with("sequences", found.sequences))
            }),
    );
    r.add(
        Primitive::new("eval.choice", "Multiple choice: the likeliest of several continuations of a prompt.")
            .details("Prompt and choices are tokenized apart, as prompt and target are in training.")
            .arg("model", "Model", "the model")
            .arg("questions", "list of map", "each {prompt =, choices = {...}, answer = the position of the right choice}")
            .opt("normalize", "string", "token", "divide the log-probability of a choice by its tokens (token), or not (none)")
            .opt("bos", "boolean", false, "put the token that begins a text before each prompt")
            .returns("map", "accuracy (nil if no question has an answer), predictions (positions), scores (log-probabilities)")
            .example(format!(
                "{TINY}local r = lota.eval.choice(m, {{{{prompt = '1+1=', choices = {{'2', '3'}}, answer = 1}}}})\n\
                 assert(r.accuracy == (r.predictions[1] == 1 and 1 or 0))"
            ))
            .call(choice),
    );
    r.add(
        generation_options(
            Primitive::new("eval.generate", "Continues the prompt of every row, several at a time.")
                .details(
                    "Prompts are tokenized as in training (without a token before them unless bos is true), and each is \
                     continued as it would be alone. A row of messages is written by the model's chat template, up to the \
                     assistant's last message.",
                )
                .arg("model", "Model", "the model")
                .arg("rows", "list", "the rows, each {prompt = ...}, {messages = ...} or a string"),
        )
        .opt("bos", "boolean", false, "put the token that begins a text before each prompt")
        .opt("max_prompt", "integer", (), "keep only so many tokens of the end of a prompt")
        .returns("list of string", "the continuations, in order")
        .example(format!("{TINY}assert(#lota.eval.generate(m, {{{{prompt = '1+1='}}, '2+2='}}, {{max_tokens = 2}}) == 2)"))
        .call(generate),
    );
}

/// The tokens of a prompt.
fn prompt(model: &ScriptModel, args: &Args, text: &str, bos: bool) -> Result<Vec<u32>> {
    let mut ids = model.tokenizer()?.encode(text, false)?;
    if bos {
        let first =
            model.bos().ok_or_else(|| args.wrong("bos", "is true, but the model names no such token"))?;
        ids.insert(0, first);
    }
    Ok(ids)
}

struct Question {
    prompt: String,
    choices: Vec<String>,
    answer: Option<i64>,
}

fn question(value: Value) -> Result<Question, Mismatch> {
    let mut map = Map::from_value(value)?;
    let mut field = |name: &str| map.take(name).unwrap_or_default();
    Ok(Question {
        prompt: String::from_value(field("prompt")).map_err(|m| m.inside(".prompt"))?,
        choices: Vec::from_value(field("choices")).map_err(|m| m.inside(".choices"))?,
        answer: Option::from_value(field("answer")).map_err(|m| m.inside(".answer"))?,
    })
}

fn choice(ctx: &Ctx, args: &mut Args) -> Result<Map> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let rows: Vec<Value> = args.get("questions")?;
    let bos: bool = args.get("bos")?;
    let normalize: String = args.get("normalize")?;
    let normalize = match normalize.as_str() {
        "token" => Normalize::Token,
        "none" => Normalize::None,
        other => return Err(args.not_one_of("normalize", other, &["token", "none"])),
    };
    let base = ctx.index_base();
    let (mut questions, mut answers) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (i, row) in rows.into_iter().enumerate() {
        let row = question(row).map_err(|m| args.mismatched("questions", &m.inside(&format!("[{i}]"))))?;
        if let Some(answer) = row.answer
            && !(base..base + row.choices.len() as i64).contains(&answer)
        {
            let what = format!(
                "question {} has {} choices and the answer {answer}",
                i as i64 + base,
                row.choices.len()
            );
            return Err(args.wrong("questions", what));
        }
        let choices =
            row.choices.iter().map(|text| model.tokenizer()?.encode(text, false).map_err(Into::into));
        let choices = choices.collect::<Result<Vec<_>>>()?;
        questions.push(Choice { prompt: prompt(&model, args, &row.prompt, bos)?, choices });
        answers.push(row.answer);
    }
    let chosen = choose(&model.0, &questions, normalize, &ctx.host)?;
    let predictions: Vec<i64> = chosen.iter().map(|c| c.best as i64 + base).collect();
    let judged: Vec<bool> =
        answers.iter().zip(&predictions).filter_map(|(answer, p)| answer.map(|a| a == *p)).collect();
    let right = judged.iter().filter(|right| **right).count();
    let accuracy = (!judged.is_empty()).then(|| right as f64 / judged.len() as f64);
    Ok(Map::new()
        .with("accuracy", accuracy)
        .with("predictions", predictions)
        .with("scores", chosen.into_iter().map(|c| c.scores).collect::<Vec<_>>()))
}

fn generate(ctx: &Ctx, args: &mut Args) -> Result<Vec<String>> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let rows: Vec<Value> = args.get("rows")?;
    let (bos, most): (bool, Option<usize>) = (args.get("bos")?, args.opt("max_prompt")?);
    if most == Some(0) {
        return Err(args.wrong("max_prompt", "must be at least 1, got 0"));
    }
    let options = generation(args)?;
    let tokenizer = model.tokenizer()?;
    let mut prompts = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        let inside =
            |m: Mismatch, step: &str| args.mismatched("rows", &m.inside(step).inside(&format!("[{i}]")));
        let text = match row {
            Value::Map(mut map) => match map.take("messages") {
                Some(messages) => {
                    let prompt = model.0.chat_prompt(&to_json(&messages)?);
                    let row = i as i64 + ctx.index_base();
                    prompt.map_err(|e| args.wrong("rows", format!("[{row}]: {e}")))?
                }
                None => String::from_value(map.take("prompt").unwrap_or_default())
                    .map_err(|m| inside(m, ".prompt"))?,
            },
            other => String::from_value(other).map_err(|m| inside(m, ""))?,
        };
        let encode = |text: &str| tokenizer.encode(text, false);
        let mut ids = match most {
            Some(most) => encode_most(&encode, &text, Keep::End, most)?,
            None => encode(&text)?,
        };
        if bos {
            ids.splice(0..0, prompt(&model, args, "", true)?);
        }
        prompts.push(ids);
    }
    let made = model.0.generate(&prompts, &options, &ctx.host, None)?;
    Ok(made.into_iter().map(|g| g.text).collect())
}
