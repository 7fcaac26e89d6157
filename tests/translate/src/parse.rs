//! Lua's grammar, as far as examples use it.

use super::lex::Token;
use super::syntax::{Expr, Stmt};

type Parsed<T> = Result<T, String>;

pub(super) fn chunk(tokens: &[Token]) -> Parsed<Vec<Stmt>> {
    let mut parser = Parser { tokens, at: 0 };
    let block = parser.block()?;
    match parser.tokens.get(parser.at) {
        None => Ok(block),
        Some(token) => Err(format!("{token:?} has no translation")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

/// Binary operators with their precedences; `..` and `^` bind to the right.
const BINARY: [(&str, u8); 20] = [
    ("or", 1),
    ("and", 2),
    ("<", 3),
    (">", 3),
    ("<=", 3),
    (">=", 3),
    ("~=", 3),
    ("==", 3),
    ("|", 4),
    ("~", 5),
    ("&", 6),
    ("..", 8),
    ("+", 9),
    ("-", 9),
    ("*", 10),
    ("/", 10),
    ("//", 10),
    ("%", 10),
    ("^", 12),
    ("<<", 7),
];
const UNARY: u8 = 11;

impl Parser<'_> {
    fn word(&self) -> &str {
        match self.tokens.get(self.at) {
            Some(Token::Name(word)) => word,
            Some(Token::Symbol(symbol)) => symbol,
            _ => "",
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        let here = self.word() == word;
        self.at += usize::from(here);
        here
    }

    fn need(&mut self, word: &str) -> Parsed<()> {
        if self.eat(word) { Ok(()) } else { Err(format!("expected '{word}', found '{}'", self.word())) }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            other => Err(format!("expected a name, found {other:?}")),
        }
    }

    fn names(&mut self) -> Parsed<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.eat(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn block(&mut self) -> Parsed<Vec<Stmt>> {
        let mut out = Vec::new();
        while self.at < self.tokens.len() && !matches!(self.word(), "end" | "else" | "elseif") {
            if let Some(Token::Comment(text)) = self.tokens.get(self.at) {
                out.push(Stmt::Comment(text.clone()));
                self.at += 1;
            } else if !self.eat(";") {
                out.push(self.statement()?);
            }
        }
        Ok(out)
    }

    fn body(&mut self) -> Parsed<Vec<Stmt>> {
        let block = self.block()?;
        self.need("end")?;
        Ok(block)
    }

    fn statement(&mut self) -> Parsed<Stmt> {
        match self.word() {
            "local" => {
                self.at += 1;
                if self.eat("function") {
                    let name = self.name()?;
                    return Ok(Stmt::Local(vec![name], vec![self.function()?]));
                }
                let names = self.names()?;
                let values = if self.eat("=") { self.list()? } else { Vec::new() };
                Ok(Stmt::Local(names, values))
            }
            "for" => self.for_loop(),
            "if" => self.branches(),
            "return" => {
                self.at += 1;
                let ends = self.at == self.tokens.len() || matches!(self.word(), "end" | "else" | "elseif");
                Ok(Stmt::Return(if ends { None } else { Some(self.expr(0)?) }))
            }
            word @ ("goto" | "while" | "repeat" | "function" | "break" | "do") => {
                Err(format!("'{word}' has no translation"))
            }
            _ => {
                let target = self.expr(0)?;
                if self.eat("=") {
                    return Ok(Stmt::Assign(target, self.expr(0)?));
                }
                Ok(Stmt::Do(target))
            }
        }
    }

    fn for_loop(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        let mut names = self.names()?;
        if self.eat("=") {
            let first = self.expr(0)?;
            self.need(",")?;
            let last = self.expr(0)?;
            self.need("do")?;
            return Ok(Stmt::Count(names.remove(0), first, last, self.body()?));
        }
        self.need("in")?;
        let ordered = match self.name()?.as_str() {
            "ipairs" => true,
            "pairs" => false,
            other => return Err(format!("a loop over '{other}' has no translation")),
        };
        let Some(items) = self.arguments()?.into_iter().next() else {
            return Err("a loop over nothing has no translation".into());
        };
        self.need("do")?;
        Ok(Stmt::Each(names, ordered, items, self.body()?))
    }

    fn branches(&mut self) -> Parsed<Stmt> {
        let mut branches = Vec::new();
        let mut last = None;
        while self.eat("if") || self.eat("elseif") {
            let condition = self.expr(0)?;
            self.need("then")?;
            branches.push((condition, self.block()?));
        }
        if self.eat("else") {
            last = Some(self.block()?);
        }
        self.need("end")?;
        Ok(Stmt::If(branches, last))
    }

    fn list(&mut self) -> Parsed<Vec<Expr>> {
        let mut out = vec![self.expr(0)?];
        while self.eat(",") {
            out.push(self.expr(0)?);
        }
        Ok(out)
    }

    fn expr(&mut self, above: u8) -> Parsed<Expr> {
        let mut left = match self.word() {
            op @ ("not" | "-" | "#" | "~") => {
                let op = op.to_string();
                self.at += 1;
                Expr::Unary(op, Box::new(self.expr(UNARY)?))
            }
            _ => self.suffixed()?,
        };
        while let Some((op, level)) = BINARY.iter().find(|(op, _)| *op == self.word()) {
            if *level <= above {
                break;
            }
            self.at += 1;
            let right = self.expr(if matches!(*op, ".." | "^") { level - 1 } else { *level })?;
            left = Expr::Binary((*op).to_string(), Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn suffixed(&mut self) -> Parsed<Expr> {
        let mut base = self.primary()?;
        loop {
            if self.eat(".") {
                base = Expr::Field(Box::new(base), self.name()?);
            } else if self.eat("[") {
                base = Expr::Index(Box::new(base), Box::new(self.expr(0)?));
                self.need("]")?;
            } else if self.eat(":") {
                let name = self.name()?;
                base = Expr::Method(Box::new(base), name, self.arguments()?);
            } else if matches!(self.word(), "(" | "{")
                || matches!(self.tokens.get(self.at), Some(Token::Text(_)))
            {
                base = Expr::Call(Box::new(base), self.arguments()?);
            } else {
                return Ok(base);
            }
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        if !self.eat("(") {
            return Ok(vec![self.primary()?]);
        }
        if self.eat(")") {
            return Ok(Vec::new());
        }
        let list = self.list()?;
        self.need(")")?;
        Ok(list)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        Ok(match token {
            Some(Token::Number(number)) => Expr::Number(number),
            Some(Token::Text(text)) => Expr::Text(text),
            Some(Token::Symbol("(")) => {
                let inner = self.expr(0)?;
                self.need(")")?;
                Expr::Paren(Box::new(inner))
            }
            Some(Token::Symbol("{")) => return self.table(),
            Some(Token::Name(name)) => match name.as_str() {
                "nil" => Expr::Nil,
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                "function" => return self.function(),
                _ => Expr::Name(name),
            },
            other => return Err(format!("{other:?} has no translation")),
        })
    }

    fn function(&mut self) -> Parsed<Expr> {
        self.need("(")?;
        let names = if self.word() == ")" { Vec::new() } else { self.names()? };
        self.need(")")?;
        Ok(Expr::Function(names, self.body()?))
    }

    fn table(&mut self) -> Parsed<Expr> {
        let (mut items, mut named) = (Vec::new(), Vec::new());
        while !self.eat("}") {
            if let (Some(Token::Name(name)), Some(Token::Symbol("="))) =
                (self.tokens.get(self.at), self.tokens.get(self.at + 1))
            {
                let name = name.clone();
                self.at += 2;
                named.push((name, self.expr(0)?));
            } else {
                items.push(self.expr(0)?);
            }
            if !self.eat(",") && !self.eat(";") && self.word() != "}" {
                return Err(format!("'{}' in a table has no translation", self.word()));
            }
        }
        match (items.is_empty(), named.is_empty()) {
            (_, true) => Ok(Expr::List(items)),
            (true, false) => Ok(Expr::Map(named)),
            _ => Err("a table with both positions and names has no translation".into()),
        }
    }
}
