//! What type an expression has, as far as the registry tells.

use std::collections::HashMap;

use lota_script::Registry;
use lota_script::{Op, Primitive};

use super::syntax::Expr;

/// The types of the variables in scope.
pub(super) type Scope = HashMap<String, String>;

/// The record that a function expression names.
pub(super) fn function<'a>(registry: &'a Registry, function: &Expr) -> Option<&'a Primitive> {
    path(function)?.strip_prefix("lota.").and_then(|name| registry.get(name)).map(|p| &**p)
}

/// `a.b.c` of nested fields.
pub(super) fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(name) => Some(name.clone()),
        Expr::Field(base, name) => Some(format!("{}.{name}", path(base)?)),
        _ => None,
    }
}

/// The record of a method call: that of the object's type, or the only one of the name.
pub(super) fn method<'a>(
    registry: &'a Registry,
    scope: &Scope,
    object: &Expr,
    name: &str,
) -> Option<&'a Primitive> {
    if let Some(ty) = of(registry, scope, object) {
        return registry.get(&format!("{ty}:{name}")).map(|p| &**p);
    }
    let mut named = registry.iter().filter(|p| p.owner().is_some() && p.short_name() == name);
    match (named.next(), named.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The record that an expression calls.
pub(super) fn called<'a>(registry: &'a Registry, scope: &Scope, expr: &Expr) -> Option<&'a Primitive> {
    match expr {
        Expr::Call(f, _) => function(registry, f),
        Expr::Method(object, name, _) => method(registry, scope, object, name),
        _ => None,
    }
}

/// The type of an expression.
pub(super) fn of(registry: &Registry, scope: &Scope, expr: &Expr) -> Option<String> {
    match expr {
        Expr::Paren(inner) => of(registry, scope, inner),
        Expr::Name(name) => scope.get(name).cloned(),
        Expr::Call(..) | Expr::Method(..) => called(registry, scope, expr).map(|p| p.result().0.to_string()),
        Expr::Binary(_, left, right) => of(registry, scope, left).or_else(|| of(registry, scope, right)),
        Expr::Unary(op, inner) if op != "#" && op != "not" => of(registry, scope, inner),
        Expr::Index(base, _) => {
            let base = of(registry, scope, base)?;
            match base.strip_prefix("list of ") {
                Some(item) => Some(item.to_string()),
                None => operator(registry, &base, Op::Index).map(|_| base),
            }
        }
        _ => None,
    }
}

/// The record of an operator of a type.
pub(super) fn operator<'a>(registry: &'a Registry, ty: &str, op: Op) -> Option<&'a Primitive> {
    registry.iter().map(|p| &**p).find(|p| {
        p.operator_tag() == Some(op)
            && p.params().first().is_some_and(|first| first.ty.split('|').next() == Some(ty))
    })
}
