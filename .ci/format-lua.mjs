// Formats the project's Lua files with StyLua's WebAssembly build, as stylua.toml says.
// node .ci/format-lua.mjs FOLDER-OF-THE-NPM-PACKAGE [--write]; without --write it lists unformatted files and fails.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, mode] = process.argv.slice(2);
const stylua = await import(pathToFileURL(resolve(folder, "stylua_lib_node.mjs")));

const settings = Object.fromEntries(
  readFileSync("stylua.toml", "utf8")
    .split("\n")
    .map((line) => line.match(/^(\w+)\s*=\s*"?([^"]*)"?$/))
    .filter(Boolean)
    .map(([, name, value]) => [name, value]),
);
// A configuration is used up by the call it is given to.
function configuration() {
  const config = stylua.Config.new();
  config.syntax = stylua.LuaVersion.Lua54;
  config.column_width = Number(settings.column_width);
  config.indent_type = stylua.IndentType[settings.indent_type];
  config.indent_width = Number(settings.indent_width);
  config.quote_style = stylua.QuoteStyle[settings.quote_style];
  config.call_parentheses = stylua.CallParenType[settings.call_parentheses];
  return config;
}

function* luaFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* luaFiles(path);
    else if (entry.name.endsWith(".lua")) yield path;
  }
}

let wrong = 0;
for (const root of ["stdlib", "scripts", "examples", "tests"]) {
  let paths = [];
  try {
    paths = [...luaFiles(root)];
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  for (const path of paths) {
    const source = readFileSync(path, "utf8");
    let formatted;
    try {
      formatted = stylua.formatCode(source, configuration(), undefined, stylua.OutputVerification.Full);
    } catch (error) {
      console.log(`${path}: ${error}`);
      wrong += 1;
      continue;
    }
    if (formatted === source) continue;
    if (mode === "--write") writeFileSync(path, formatted);
    else {
      console.log(`not formatted: ${path}`);
      wrong += 1;
    }
  }
}
process.exit(wrong > 0 ? 1 : 0);
