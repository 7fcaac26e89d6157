//! What the program says of its memory and what the system does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Megabytes of the process, by the system: now, and the most since this was last asked for.
const MEASURE: &str = "
local lota = require 'lota'
local function system()
  local now, most
  for line in io.lines('/proc/self/status') do
    now = now or tonumber(line:match('^VmRSS:%s*(%d+)'))
    most = most or tonumber(line:match('^VmHWM:%s*(%d+)'))
  end
  local reset = io.open('/proc/self/clear_refs', 'w')
  if reset then reset:write('5') reset:close() end
  return now / 1024, most / 1024
end
function measured(what)
  local now, most = system()
  print(what, now, most, lota.memory().live / 2 ^ 20)
end
";

/// What a script printed of each moment: megabytes now, the most since the moment before, and what it is told is alive.
fn moments(folder: &Path, script: &str) -> BTreeMap<String, [f64; 3]> {
    std::fs::write(folder.join("script.lua"), format!("{MEASURE}{script}")).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(["--quiet", "--threads", "2", "run", "script.lua"]).current_dir(folder);
    let out = command.stdin(Stdio::null()).output().expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| words[at].parse().expect("a number");
        all.insert(words[0].to_string(), [number(1), number(2), number(3)]);
        println!("{line}");
    }
    all
}

/// A model of a hundred megabytes, in `m`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let make = "
        local c = lota.model.init('tiny'):config()
        c.hidden_size, c.intermediate_size, c.num_hidden_layers = 640, 2560, 4
        c.num_attention_heads, c.num_key_value_heads, c.head_dim = 10, 10, 64
        lota.model.init(c, {seed = 1}):save('m')
        measured 'made'";
    let made = moments(folder.path(), &make.replace("lota.", "require('lota')."));
    assert!(made["made"][2] > 95.0, "{made:?}");
    folder
}

#[test]
fn models_loaded_one_after_the_other_take_the_room_of_one() {
    let folder = folder();
    let all = moments(
        folder.path(),
        "local lota = require 'lota'
         measured 'start'
         do local m = lota.model.load('m') measured 'one' end
         for i = 1, 5 do local m = lota.model.load('m') end
         measured 'five'
         local m
         for i = 1, 5 do m = lota.model.load('m') end
         measured 'held'
         m = nil collectgarbage() measured 'none'",
    );
    let [start, one, five, held, none] = ["start", "one", "five", "held", "none"].map(|name| all[name]);
    let size = one[2];
    assert!(size > 95.0, "{all:?}");
    // The file is mapped while it is read.
    let alone = one[1] - start[0];
    assert!(alone < 2.2 * size, "one model of {size} MB took {alone} MB");
    let most = five[1] - start[0];
    assert!(most < alone + 0.25 * size, "five models one after the other took {most} MB, one {alone} MB");
    // The variable holds the model before while the next one is loaded.
    let most = held[1] - start[0];
    assert!(most < 1.25 * (alone + size), "with the one before held: {most} MB");
    let left = none[0] - start[0];
    assert!(left < 0.1 * size && none[2] < 1.0, "{left} MB are left of {size} MB");
}
