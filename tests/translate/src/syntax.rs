//! What a translated chunk is made of.

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Nil,
    Bool(bool),
    Number(String),
    Text(String),
    Name(String),
    /// `base.name`
    Field(Box<Expr>, String),
    /// `base[key]`
    Index(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Expr>),
    /// `object:name(...)`
    Method(Box<Expr>, String, Vec<Expr>),
    Function(Vec<String>, Vec<Stmt>),
    Binary(String, Box<Expr>, Box<Expr>),
    Unary(String, Box<Expr>),
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
    Paren(Box<Expr>),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stmt {
    Comment(String),
    Local(Vec<String>, Vec<Expr>),
    Assign(Expr, Expr),
    Do(Expr),
    /// `for name = first, last do`
    Count(String, Expr, Expr, Vec<Stmt>),
    /// `for names in ipairs(items)` or `pairs(items)`
    Each(Vec<String>, bool, Expr, Vec<Stmt>),
    If(Vec<(Expr, Vec<Stmt>)>, Option<Vec<Stmt>>),
    Return(Option<Expr>),
}
