//! The Rhai text of a chunk.

use lota_script::Registry;
use lota_script::{Op, Param, Place, Primitive, counts_positions};

use super::syntax::{Expr, Stmt};
use super::types::{self, Scope};

type Printed = Result<String, String>;

struct Printer<'a> {
    registry: &'a Registry,
    scope: Scope,
}

pub(super) fn block(registry: &Registry, block: &[Stmt]) -> Printed {
    let mut printer = Printer { registry, scope: Scope::new() };
    let lines = block.iter().map(|s| printer.statement(s)).collect::<Result<Vec<_>, _>>()?;
    Ok(lines.join("\n"))
}

impl Printer<'_> {
    fn body(&mut self, block: &[Stmt]) -> Printed {
        let lines = block.iter().map(|s| self.statement(s)).collect::<Result<Vec<_>, _>>()?;
        let inline = lines.len() <= 1 && lines.iter().all(|l| !l.contains('\n') && !l.starts_with("//"));
        Ok(match inline {
            true => format!("{{ {} }}", lines.join(" ")),
            false => format!("{{\n  {}\n}}", lines.join("\n").replace('\n', "\n  ")),
        })
    }

    fn statement(&mut self, statement: &Stmt) -> Printed {
        Ok(match statement {
            Stmt::Comment(text) => {
                // A comment that shows a call shows it in this language.
                let shown = super::lua_to_rhai(self.registry, text).ok();
                let shown = shown.filter(|_| text.contains('(')).unwrap_or_else(|| text.clone());
                format!("// {}", shown.replace('\n', "\n// "))
            }
            Stmt::Local(names, values) => {
                if values.len() > names.len() || (values.len() < names.len() && !values.is_empty()) {
                    return Err("an assignment of several results has no translation".into());
                }
                let mut lines = Vec::new();
                for (i, name) in names.iter().enumerate() {
                    let Some(value) = values.get(i) else {
                        lines.push(format!("let {name};"));
                        continue;
                    };
                    lines.push(format!("let {name} = {};", self.expr(value)?));
                    match types::of(self.registry, &self.scope, value) {
                        Some(ty) => self.scope.insert(name.clone(), ty),
                        None => self.scope.remove(name),
                    };
                }
                lines.join("\n")
            }
            // Lists are filled by position in Lua and by pushing here.
            Stmt::Assign(Expr::Index(base, key), value) if matches!(**key, Expr::Name(_)) => {
                format!("{}.push({});", self.expr(base)?, self.expr(value)?)
            }
            Stmt::Assign(target, value) => format!("{} = {};", self.expr(target)?, self.expr(value)?),
            Stmt::Do(value) => format!("{};", self.expr(value)?),
            Stmt::Count(name, first, last, block) => {
                format!("for {name} in {}..={} {}", self.expr(first)?, self.expr(last)?, self.body(block)?)
            }
            Stmt::Each(names, true, items, block) => match &names[..] {
                [blank, item] if blank == "_" => {
                    format!("for {item} in {} {}", self.expr(items)?, self.body(block)?)
                }
                _ => return Err("a loop that counts the items has no translation".into()),
            },
            Stmt::Each(names, false, items, block) => {
                let items = self.expr(items)?;
                let body = self.body(block)?;
                match &names[..] {
                    [name] => format!("for {name} in {items}.keys() {body}"),
                    [name, item] => format!(
                        "for {name} in {items}.keys() {{\n  let {item} = {items}[{name}];\n  {}\n}}",
                        body.trim_matches(['{', '}', ' ', '\n'])
                    ),
                    _ => return Err("a loop over three names has no translation".into()),
                }
            }
            Stmt::If(branches, last) => {
                let mut out = String::new();
                for (i, (condition, block)) in branches.iter().enumerate() {
                    let word = if i == 0 { "if" } else { " else if" };
                    out += &format!("{word} {} {}", self.condition(condition)?, self.body(block)?);
                }
                if let Some(block) = last {
                    out += &format!(" else {}", self.body(block)?);
                }
                out
            }
            Stmt::Return(None) => "return;".into(),
            Stmt::Return(Some(value)) => format!("return {};", self.expr(value)?),
        })
    }

    /// An expression where a truth value must stand: in Lua anything may, here only a boolean.
    fn condition(&mut self, expr: &Expr) -> Printed {
        let text = self.expr(expr)?;
        Ok(if self.is_boolean(expr) { text } else { format!("{text} != ()") })
    }

    fn is_boolean(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Bool(_) => true,
            Expr::Paren(inner) => self.is_boolean(inner),
            Expr::Unary(op, _) => op == "not",
            Expr::Binary(op, ..) => {
                matches!(op.as_str(), "==" | "~=" | "<" | ">" | "<=" | ">=" | "and" | "or")
            }
            Expr::Method(_, name, _) if name == "find" => true,
            Expr::Field(..) => true,
            _ => types::called(self.registry, &self.scope, expr).is_some_and(|p| p.result().0 == "boolean"),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Printed {
        Ok(match expr {
            Expr::Nil => "()".into(),
            Expr::Bool(b) => b.to_string(),
            Expr::Number(number) => literal(number)?,
            Expr::Text(text) => quote(text),
            Expr::Name(name) => name.clone(),
            Expr::Field(base, name) => match types::path(expr) {
                Some(path) if path == "math.huge" => "(1.0 / 0.0)".into(),
                Some(path) if path == "math.pi" => "PI()".into(),
                Some(path) if path.starts_with("lota.") => path.replace('.', "::"),
                _ => format!("{}.{name}", self.expr(base)?),
            },
            Expr::Index(base, key) => {
                let key = match &**key {
                    text @ Expr::Text(_) => self.expr(text)?,
                    other => self.shifted(other)?,
                };
                format!("{}[{key}]", self.expr(base)?)
            }
            Expr::Call(function, arguments) => self.call(function, arguments)?,
            Expr::Method(object, name, arguments) => self.method(object, name, arguments)?,
            Expr::Function(names, block) => {
                let head = format!("|{}|", names.join(", "));
                match &block[..] {
                    [Stmt::Return(Some(value))] => format!("{head} {}", self.expr(value)?),
                    _ => format!("{head} {}", self.body(block)?),
                }
            }
            Expr::Binary(op, left, right) => self.binary(op, left, right)?,
            Expr::Unary(op, inner) => {
                let text = self.operand(inner)?;
                match op.as_str() {
                    "not" if !self.is_boolean(inner) => format!("({text} == ())"),
                    "not" | "~" => format!("!{text}"),
                    "#" => {
                        let ty = types::of(self.registry, &self.scope, inner);
                        let record = ty.and_then(|ty| types::operator(self.registry, &ty, Op::Len));
                        format!("{text}.{}()", record.map_or("len", |p| p.short_name()))
                    }
                    op => format!("{op}{text}"),
                }
            }
            Expr::List(items) => format!("[{}]", self.exprs(items)?),
            Expr::Map(named) => {
                let mut parts = Vec::new();
                for (name, value) in named {
                    // A word of the language is a name in quotes.
                    let name = if name == "fn" { "\"fn\"" } else { name };
                    parts.push(format!("{name}: {}", self.expr(value)?));
                }
                format!("#{{{}}}", parts.join(", "))
            }
            Expr::Paren(inner) => format!("({})", self.expr(inner)?),
        })
    }

    fn exprs(&mut self, items: &[Expr]) -> Printed {
        Ok(items.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>, _>>()?.join(", "))
    }

    /// An operand: precedences differ between the languages, so what is made of operators is put
    /// in parentheses.
    fn operand(&mut self, expr: &Expr) -> Printed {
        let text = self.expr(expr)?;
        Ok(match expr {
            Expr::Binary(..) | Expr::Function(..) => format!("({text})"),
            _ => text,
        })
    }

    fn binary(&mut self, op: &str, left: &Expr, right: &Expr) -> Printed {
        // `a and b or c` chooses.
        if op == "or"
            && let Expr::Binary(and, condition, value) = left
            && and == "and"
            && !self.is_boolean(value)
        {
            let (condition, value) = (self.condition(condition)?, self.expr(value)?);
            return Ok(format!("if {condition} {{ {value} }} else {{ {} }}", self.expr(right)?));
        }
        let number = |e: &Expr| matches!(e, Expr::Text(t) if t == "number");
        if let Expr::Call(f, _) = left
            && **f == Expr::Name("type".into())
            && number(right)
        {
            return Ok(format!("[\"i64\", \"f64\"].contains({})", self.expr(left)?));
        }
        let positions = |p: Option<&Primitive>| p.is_some_and(|p| counts_positions(p.result().0));
        let compared = matches!(op, "==" | "~=" | "<" | ">" | "<=" | ">=");
        let right_text = if compared && self.is_position(left, positions) {
            self.shifted(right)?
        } else {
            self.operand(right)?
        };
        let word = match op {
            "~=" => "!=",
            "and" => "&&",
            "or" if !self.is_boolean(left) => "??",
            "or" => "||",
            ".." => "+",
            "^" => "**",
            "~" => "^",
            "//" => "/",
            other => other,
        };
        let same = |e: &Expr| matches!(e, Expr::Binary(o, ..) if matches!((op, o.as_str()), ("and", "and") | ("or", "or") | ("..", "..") | ("+", "+") | ("*", "*")));
        let comparison = |e: &Expr| {
            matches!(op, "and" | "or")
                && matches!(e, Expr::Binary(o, ..) if matches!(o.as_str(), "==" | "~=" | "<" | ">" | "<=" | ">="))
        };
        let left_text = if same(left) || comparison(left) { self.expr(left)? } else { self.operand(left)? };
        let right_text = if comparison(right) { self.expr(right)? } else { right_text };
        Ok(format!("{left_text} {word} {right_text}"))
    }

    /// Whether an expression is a position, or an item of a list of them.
    fn is_position(&self, expr: &Expr, positions: impl Fn(Option<&Primitive>) -> bool + Copy) -> bool {
        match expr {
            Expr::Index(base, _) => self.is_position(base, positions),
            Expr::Method(base, name, _) if matches!(name.as_str(), "item" | "totable") => {
                self.is_position(base, positions)
            }
            Expr::Paren(inner) => self.is_position(inner, positions),
            _ => positions(types::called(self.registry, &self.scope, expr)),
        }
    }

    /// A position counted from 1, counted from 0.
    fn shifted(&mut self, expr: &Expr) -> Printed {
        Ok(match expr {
            Expr::Number(number) => match number.parse::<i64>() {
                Ok(n) if n >= 1 => (n - 1).to_string(),
                _ => return Err(format!("{number} is no position")),
            },
            Expr::Unary(op, _) if op == "-" => self.expr(expr)?,
            Expr::List(items) => {
                let items = items.iter().map(|i| self.shifted(i)).collect::<Result<Vec<_>, _>>()?;
                format!("[{}]", items.join(", "))
            }
            // A tensor of positions, or a map: neither is shifted by the frontend.
            Expr::Text(_) | Expr::Map(_) | Expr::Nil => self.expr(expr)?,
            Expr::Name(name) if self.scope.get(name).is_some_and(|ty| ty != "index" && ty != "dim") => {
                self.expr(expr)?
            }
            other => format!("{} - 1", self.operand(other)?),
        })
    }

    fn argument(&mut self, param: Option<&Param>, value: &Expr) -> Printed {
        match param {
            Some(param) if param.counts_positions() => self.shifted(value),
            Some(param) if *value == Expr::List(Vec::new()) && param.ty.split('|').any(|t| t == "map") => {
                Ok("#{}".into())
            }
            _ => self.expr(value),
        }
    }

    /// The arguments of a primitive, those after `self`.
    fn arguments(&mut self, record: &Primitive, values: &[Expr]) -> Printed {
        let skip = usize::from(record.owner().is_some());
        let places: Vec<&Param> =
            record.params().iter().skip(skip).filter(|p| p.place != Place::Option).collect();
        let mut parts = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let param = places
                .get(i)
                .copied()
                .or_else(|| places.last().copied().filter(|last| last.place == Place::Rest));
            let options = record.params().iter().filter(|p| p.place == Place::Option);
            let is_options = i + 1 == values.len()
                && (i >= places.len() || param.is_none_or(|p| !p.required && !p.ty.contains("map")));
            match value {
                Expr::Map(named) if is_options => {
                    let options: Vec<&Param> = options.collect();
                    let mut entries = Vec::new();
                    for (name, value) in named {
                        let param = options.iter().find(|p| p.name == *name).copied();
                        entries.push(format!("{name}: {}", self.argument(param, value)?));
                    }
                    parts.push(format!("#{{{}}}", entries.join(", ")));
                }
                other => parts.push(self.argument(param, other)?),
            }
        }
        Ok(parts.join(", "))
    }

    fn call(&mut self, function: &Expr, arguments: &[Expr]) -> Printed {
        if let Some(record) = types::function(self.registry, function) {
            return Ok(format!(
                "lota::{}({})",
                record.name().replace('.', "::"),
                self.arguments(record, arguments)?
            ));
        }
        let path = types::path(function).unwrap_or_default();
        match (path.as_str(), arguments) {
            ("tostring", [value]) => Ok(format!("{}.to_string()", self.operand(value)?)),
            ("type", [value]) => Ok(format!("type_of({})", self.expr(value)?)),
            ("math.abs" | "math.exp" | "math.floor" | "math.sqrt" | "math.log", [value]) => {
                let name = path.trim_start_matches("math.").replace("log", "ln");
                Ok(format!("{}.{name}()", self.operand(value)?))
            }
            ("assert", [condition]) => Ok(format!("assert({})", self.condition(condition)?)),
            ("assert", [condition, text]) => {
                Ok(format!("assert({}, {})", self.condition(condition)?, self.expr(text)?))
            }
            ("error", [text, ..]) => Ok(format!("throw {}", self.expr(text)?)),
            (known, _)
                if known.starts_with("math.")
                    || known.starts_with("string.")
                    || known.starts_with("table.")
                    || matches!(
                        known,
                        "pcall"
                            | "select"
                            | "require"
                            | "setmetatable"
                            | "xpcall"
                            | "tonumber"
                            | "next"
                            | "os.time"
                    ) =>
            {
                Err(format!("{known} has no translation"))
            }
            _ => Ok(format!("{}({})", self.operand(function)?, self.exprs(arguments)?)),
        }
    }

    fn method(&mut self, object: &Expr, name: &str, arguments: &[Expr]) -> Printed {
        if let Some(record) = types::method(self.registry, &self.scope, object, name) {
            let arguments = self.arguments(record, arguments)?;
            return Ok(format!("{}.{name}({arguments})", self.operand(object)?));
        }
        let text = self.operand(object)?;
        match (name, arguments) {
            ("find", [Expr::Text(pattern), rest @ ..]) => {
                if rest.is_empty() && pattern.contains(['%', '^', '$', '*', '+', '[', '(', '.']) {
                    return Err(format!("the pattern {pattern:?} has no translation"));
                }
                Ok(format!("{text}.contains({})", quote(pattern)))
            }
            ("match" | "gsub" | "gmatch" | "format" | "rep" | "sub" | "byte", _)
                if types::of(self.registry, &self.scope, object).is_none_or(|ty| ty == "string") =>
            {
                Err(format!("the string method {name} has no translation"))
            }
            _ => Ok(format!("{text}.{name}({})", self.exprs(arguments)?)),
        }
    }
}

fn literal(number: &str) -> Printed {
    if number.bytes().all(|b| b.is_ascii_digit()) || number.starts_with("0x") {
        return Ok(number.to_string());
    }
    let value: f64 = number.parse().map_err(|_| format!("the number {number} has no translation"))?;
    let text = value.to_string();
    Ok(if text.contains('.') { text } else { text + ".0" })
}

fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}
