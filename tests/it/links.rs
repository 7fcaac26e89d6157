//! Links in a granted folder: what readers open by names of their own stays in what was granted.

use std::os::unix::fs::symlink;

use lota::api::Files;
use lota::{Engine, Language};

#[test]
fn readers_of_a_folder_do_not_follow_a_link_out_of_what_is_granted() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let root = outside.path().join("root");
    std::fs::create_dir(&root).expect("a folder");
    let engine =
        Engine::builder(Language::Lua).files(Files::roots([root.clone()])).build().expect("an engine");
    let run = |code: &str| engine.run(&format!("local lota = require 'lota'\n{code}"), "links").map(drop);
    run("local m, before = lota.model.init('tiny', {seed = 1}), nil\n\
         m:save('plain'); m:save('a'); m:save('b'); m:save('c'); m:save('d')\n\
         before = m:snapshot()\n\
         m:set_param('model.layers.0.mlp.up_proj.weight', m:param('model.layers.0.mlp.up_proj.weight'):mul(2))\n\
         lota.lora.extract(m:delta(before), {rank = 2}):save('adapter')")
    .expect("saves");
    // What each link leads to is a file that a reader takes.
    for (folder, file) in [
        ("a", "config.json"),
        ("b", "model.safetensors"),
        ("c", "tokenizer_config.json"),
        ("adapter", "adapter_model.safetensors"),
    ] {
        let (at, away) = (root.join(folder).join(file), outside.path().join(format!("{folder}-{file}")));
        std::fs::rename(&at, &away).expect("renames");
        symlink(&away, &at).expect("a link");
    }
    // A version of the folder that was never moved into place, elsewhere.
    let pending = outside.path().join("pending");
    std::fs::create_dir(&pending).expect("a folder");
    std::fs::write(pending.join("secret"), "secret").expect("writes");
    symlink(&pending, root.join("d/.lota.commit")).expect("a link");
    let config = |model: &str| {
        format!(
            "lota.merge.config({{merge_method = 'passthrough', models = {{{{model = '{model}'}}}}}}, 'out')"
        )
    };
    let mut codes = vec![
        "lota.lora.load('adapter')".to_string(),
        "lota.tokenizer.load('c')".to_string(),
        "lota.tokenizer.load('c/tokenizer.json')".to_string(),
        "lota.model.load('plain', {tokenizer = 'c/tokenizer.json'})".to_string(),
        "lota.tokenizer.load('d')".to_string(),
        "lota.lora.from('plain', 'b')".to_string(),
        "lota.ticket.from('a', 'plain', {density = 0.1})".to_string(),
        "lota.merge.models({'a', 'plain'}, {method = 'linear'})".to_string(),
        config("plain+adapter"),
    ];
    for folder in ["a", "b", "c", "d"] {
        codes.push(format!("lota.model.load('{folder}')"));
        codes.push(config(folder));
    }
    for code in &codes {
        let refused = run(code).expect_err(code).to_string();
        assert!(refused.contains("a link that leads out of the folders granted"), "{code}: {refused}");
    }
    assert!(pending.join("secret").exists() && !root.join("d/secret").exists());
    // A link that stays inside is followed.
    std::fs::rename(root.join("plain/config.json"), root.join("config.json")).expect("renames");
    symlink(root.join("config.json"), root.join("plain/config.json")).expect("a link");
    run("lota.model.load('plain')").expect("all inside");
    // A program that may read everything reads through links.
    let engine = Engine::builder(Language::Lua).files(Files::everything()).build().expect("an engine");
    let path = root.join("a").to_string_lossy().into_owned();
    engine.run(&format!("require('lota').model.load([[{path}]])"), "links").expect("loads");
}
