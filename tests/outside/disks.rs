//! Disks that are really full or really read-only: small ones of our own in memory, where mounting is allowed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A disk of 12 MB in a folder, until it is dropped.
struct Disk {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().canonicalize().expect("is there");
        let disk = Self { _dir: dir, path };
        mount(&["-t", "tmpfs", "-o", "size=12m", "tmpfs"], &disk.path).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let quietly = Command::new("umount").arg(&self.path).stderr(Stdio::null()).status();
        drop(quietly);
    }
}

fn mount(options: &[&str], path: &Path) -> bool {
    let status = Command::new("mount").args(options).arg(path).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Whether disks can be mounted here.
pub fn allowed() -> bool {
    Disk::new().is_some()
}

/// Runs a script that may use what `tests/faults/rows.lua` defines, as `write` and `read`, with `names` of its rows and `out`, the folder
/// to write to.
fn run(disk: &Disk, script: &str) {
    let rows = include_str!("../faults/rows.lua");
    let out = disk.path.join("out");
    let names =
        "local names = {}\nfor name in pairs(rows) do names[#names + 1] = name end\ntable.sort(names)\n";
    let source =
        format!("{rows}\nlocal disk, out = {:?}, {out:?}\nprepare(disk)\n{names}{script}", disk.path);
    std::fs::write(disk.path.join("script.lua"), source).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(["--quiet", "run", "script.lua"]).current_dir(&disk.path).stdin(Stdio::null());
    let ended = command.output().expect("the program runs");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}{told}", String::from_utf8_lossy(&ended.stdout));
    let text = String::from_utf8_lossy(&ended.stdout);
    print!("{text}");
    assert!(text.ends_with("done\n"), "{text}");
}

/// How a script looks for what is left beside what it wrote.
const LEFT: &str = "
local function left()
  local found = io.popen('find ' .. out .. ' -name \".*\"'):read 'a'
  assert(found == '', 'left: ' .. found)
end
";

pub fn a_disk_that_is_full_keeps_the_old_version_and_says_so() {
    let disk = Disk::new().expect("mounts");
    let script = "
for _, what in ipairs(names) do
  local refused = 0
  for kilobytes = 0, 96, 8 do
    local path = out .. '/x'
    os.execute('rm -rf ' .. out)
    write(what, path, 1)
    -- All that there is, but so much.
    os.execute('head -c 20000000 /dev/zero > ' .. disk .. '/fill 2>/dev/null')
    local size = io.open(disk .. '/fill'):seek 'end'
    os.execute(('truncate -s %d %s/fill'):format(math.max(0, size - kilobytes * 1024), disk))
    local ok, told = pcall(write, what, path, 2)
    local at = what .. ' with ' .. kilobytes .. ' KB'
    if not ok then
      refused = refused + 1
      assert(told:find('No space left', 1, true) and told:find('free some space', 1, true), at .. ': ' .. told)
      assert(told:find(path, 1, true), at .. ': ' .. told)
    end
    -- A run is locked to be read by one who may write it.
    if what == 'run' then
      os.remove(disk .. '/fill')
    end
    local seed = read(what, path)
    assert(seed == 2 or not ok and seed == 1, at .. ': version ' .. seed)
    os.remove(disk .. '/fill')
    write(what, path, 2)
    assert(read(what, path) == 2, at)
    left()
  end
  print(what, refused .. ' of 13 sizes were too small')
  assert(refused > 0, what .. ' was never refused')
end
print 'done'";
    run(&disk, &format!("{LEFT}{script}"));
}

pub fn a_disk_that_is_read_only_is_told_and_read() {
    let disk = Disk::new().expect("mounts");
    let script = "
for _, what in ipairs(names) do
  local path = out .. '/x'
  os.execute('rm -rf ' .. out)
  write(what, path, 1)
  assert(os.execute('mount -o remount,ro ' .. disk))
  local ok, told = pcall(write, what, path, 2)
  local read_ok, seed = pcall(read, what, path)
  assert(os.execute('mount -o remount,rw ' .. disk))
  assert(not ok and told:find('Read-only file system', 1, true), what .. ': ' .. tostring(told))
  assert(told:find('write to another folder', 1, true) and told:find(path, 1, true), what .. ': ' .. told)
  -- A run is locked to be read by one who may write it.
  assert(what == 'run' or read_ok and seed == 1, what .. ': ' .. tostring(seed))
  write(what, path, 2)
  assert(read(what, path) == 2, what)
  left()
end
print 'done'";
    run(&disk, &format!("{LEFT}{script}"));
}
