//! As much of Python's pickle as a file of tensors needs. Nothing is ever executed: what would be
//! a call in Python becomes a value that names it, and a name that no file of tensors needs is
//! refused as soon as it is read.

use std::rc::Rc;

/// Values nest no deeper than this.
const MAX_DEPTH: usize = 32;
/// The most items of lists and dictionaries that are copied, because something else still holds them as they were. What
/// torch writes holds them while they are empty.
const MAX_COPIED: usize = 1 << 16;

/// A pickled value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `None`, and what is of no interest here (floats).
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// A string.
    Str(Rc<str>),
    /// A tuple or list.
    List(Rc<Vec<Value>>, usize),
    /// A dictionary, in order.
    Dict(Rc<Vec<(Value, Value)>>, usize),
    /// A class or function: module and name.
    Global(Rc<(String, String)>),
    /// A call of the first value with the second as its arguments.
    Call(Rc<(Value, Value)>, usize),
    /// Something stored outside, under this id.
    Persistent(Rc<Value>, usize),
    /// The place where a list of operands begins.
    Mark,
}

type Outcome<T> = Result<T, String>;

impl Value {
    fn depth(&self) -> usize {
        match self {
            Self::List(_, d) | Self::Dict(_, d) | Self::Call(_, d) | Self::Persistent(_, d) => *d,
            _ => 0,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        if let Self::List(items, _) = self { Some(items) } else { None }
    }

    /// The pairs of a dictionary.
    pub(crate) fn pairs(&self) -> Option<&[(Self, Self)]> {
        if let Self::Dict(pairs, _) = self { Some(pairs) } else { None }
    }

    /// A string's text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// A number that is not negative.
    pub(crate) fn size(&self) -> Option<usize> {
        if let Self::Int(n) = self { usize::try_from(*n).ok() } else { None }
    }

    /// Several such numbers.
    pub(crate) fn sizes(&self) -> Option<Vec<usize>> {
        self.items()?.iter().map(Self::size).collect()
    }

    /// A call's function name and arguments.
    pub(crate) fn call(&self) -> Option<(&str, &[Self])> {
        let Self::Call(call, _) = self else { return None };
        match &**call {
            (Self::Global(global), args) => Some((&global.1, args.items()?)),
            _ => None,
        }
    }
}

/// Bytes with a place in them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Outcome<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Outcome<u8> {
        Ok(self.take(1)?[0])
    }

    /// A whole number of up to eight bytes, little-endian, without a sign.
    fn number(&mut self, bytes: usize) -> Outcome<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn size(&mut self, bytes: usize) -> Outcome<usize> {
        usize::try_from(self.number(bytes)?).map_err(|_| "a length is too large".to_string())
    }

    fn line(&mut self) -> Outcome<String> {
        let end = self.0.iter().position(|&b| b == b'\n').ok_or("it ends too early")?;
        let line = self.take(end + 1)?;
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn text(&mut self, len: usize) -> Outcome<Value> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| "a string is not UTF-8")?;
        Ok(Value::Str(text.into()))
    }
}

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: std::collections::HashMap<u64, Value>,
    copied: usize,
}

/// The value of a pickle, and the bytes behind it.
pub(crate) fn parse(bytes: &[u8]) -> Outcome<(Value, &[u8])> {
    let mut machine = Machine::default();
    let mut reader = Reader(bytes);
    loop {
        let op = reader.byte()?;
        if op == b'.' {
            return Ok((machine.pop()?, reader.0));
        }
        machine.step(op, &mut reader)?;
    }
}

impl Machine {
    fn pop(&mut self) -> Outcome<Value> {
        self.stack.pop().ok_or_else(|| "its stack is empty".to_string())
    }

    fn pop_many(&mut self, n: usize) -> Outcome<Vec<Value>> {
        let at = self.stack.len().checked_sub(n).ok_or("its stack is empty")?;
        Ok(self.stack.split_off(at))
    }

    /// What was put on the stack since the last mark.
    fn pop_to_mark(&mut self) -> Outcome<Vec<Value>> {
        let at = self.stack.iter().rposition(|v| matches!(v, Value::Mark)).ok_or("a mark is missing")?;
        let items = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_list(&mut self, items: Vec<Value>) -> Outcome<()> {
        let depth = deeper(&items)?;
        self.stack.push(Value::List(Rc::new(items), depth));
        Ok(())
    }

    /// Adds pairs to the dictionary on top of the stack.
    fn set_items(&mut self, flat: Vec<Value>) -> Outcome<()> {
        let depth = deeper(&flat)?;
        let Some(Value::Dict(pairs, d)) = self.stack.last_mut() else {
            return Err("it sets items of something that is no dictionary".into());
        };
        *d = depth.max(*d);
        let pairs = own(pairs, &mut self.copied)?;
        let mut flat = flat.into_iter();
        while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
            pairs.push((key, value));
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Outcome<()> {
        let depth = deeper(&items)?;
        let Some(Value::List(list, d)) = self.stack.last_mut() else {
            return Err("it appends to something that is no list".into());
        };
        *d = depth.max(*d);
        own(list, &mut self.copied)?.extend(items);
        Ok(())
    }

    fn call(&mut self) -> Outcome<()> {
        let operands = self.pop_many(2)?;
        let depth = deeper(&operands)?;
        let [function, args] = <[Value; 2]>::try_from(operands).map_err(|_| "its stack is empty")?;
        let dictionary =
            matches!(&function, Value::Global(g) if g.0 == "collections" && g.1 == "OrderedDict");
        self.stack.push(match dictionary {
            true => Value::Dict(Rc::default(), 1),
            false => Value::Call(Rc::new((function, args)), depth),
        });
        Ok(())
    }

    /// A class or function by name, if it is one that tensors are made of.
    fn global(&mut self, module: String, name: String) -> Outcome<()> {
        let known = match module.as_str() {
            "collections" => name == "OrderedDict",
            "torch._utils" => {
                matches!(name.as_str(), "_rebuild_tensor_v2" | "_rebuild_tensor_v3" | "_rebuild_parameter")
            }
            "torch" => name == "Size" || name.ends_with("Storage") || is_type(&name),
            "torch.storage" => name == "UntypedStorage",
            _ => false,
        };
        if !known {
            return Err(format!(
                "it calls for {module}.{name}, which a file of tensors does not need; nothing in it was run"
            ));
        }
        self.stack.push(Value::Global(Rc::new((module, name))));
        Ok(())
    }

    fn put(&mut self, key: u64) -> Outcome<()> {
        let value = self.stack.last().ok_or("its stack is empty")?.clone();
        self.memo.insert(key, value);
        Ok(())
    }

    fn get(&mut self, key: u64) -> Outcome<()> {
        let value = self.memo.get(&key).ok_or("it refers to something it has not said")?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn step(&mut self, op: u8, r: &mut Reader<'_>) -> Outcome<()> {
        match op {
            0x80 => drop(r.byte()?),    // protocol
            0x95 => drop(r.number(8)?), // frame
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool(op == 0x88)),
            b'J' => {
                let n = r.number(4)? as u32 as i32;
                self.stack.push(Value::Int(n.into()));
            }
            b'K' => {
                let n = r.number(1)?;
                self.stack.push(Value::Int(n as i64));
            }
            b'M' => {
                let n = r.number(2)?;
                self.stack.push(Value::Int(n as i64));
            }
            0x8a => {
                let len = r.size(1)?;
                if len > 8 {
                    return Err("a number is too large".into());
                }
                let n = r.number(len)?;
                let unused = 64 - 8 * len as u32;
                self.stack.push(Value::Int(if len == 0 { 0 } else { ((n << unused) as i64) >> unused }));
            }
            b'G' => {
                r.take(8)?;
                self.stack.push(Value::None);
            }
            b'X' => {
                let len = r.size(4)?;
                self.stack.push(r.text(len)?);
            }
            0x8c => {
                let len = r.size(1)?;
                self.stack.push(r.text(len)?);
            }
            b')' | b']' => self.push_list(Vec::new())?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_list(items)?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(op - 0x84))?;
                self.push_list(items)?;
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.stack.push(Value::Dict(Rc::default(), 1)),
            b's' => {
                let pair = self.pop_many(2)?;
                self.set_items(pair)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            b'c' => {
                let (module, name) = (r.line()?, r.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let global = (|| Some((names[0].text()?.to_string(), names[1].text()?.to_string())))();
                let (module, name) = global.ok_or("a name is no string")?;
                self.global(module, name)?;
            }
            b'R' | 0x81 => self.call()?,
            // State of an object: attributes such as a state dict's versions, of no interest.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop_many(1)?;
                let depth = deeper(&id)?;
                self.stack.extend(id.into_iter().map(|id| Value::Persistent(Rc::new(id), depth)));
            }
            b'q' => {
                let key = r.number(1)?;
                self.put(key)?;
            }
            b'r' => {
                let key = r.number(4)?;
                self.put(key)?;
            }
            0x94 => self.put(self.memo.len() as u64)?,
            b'h' => {
                let key = r.number(1)?;
                self.get(key)?;
            }
            b'j' => {
                let key = r.number(4)?;
                self.get(key)?;
            }
            _ => return Err(format!("it uses the operation {op:#04x}, which files of tensors do not need")),
        }
        Ok(())
    }
}

/// Whether torch has a type of numbers of this name.
fn is_type(name: &str) -> bool {
    ["float", "bfloat", "int", "uint"].iter().any(|begin| name.starts_with(begin)) || name == "bool"
}

/// What a value holds, to be changed: a copy where something else holds it too.
fn own<'a, T: Clone>(items: &'a mut Rc<Vec<T>>, copied: &mut usize) -> Outcome<&'a mut Vec<T>> {
    if Rc::strong_count(items) > 1 {
        *copied += items.len();
        if *copied > MAX_COPIED {
            return Err("it changes what it has said before, again and again".into());
        }
    }
    Ok(Rc::make_mut(items))
}

/// The depth of a value that holds these.
fn deeper(items: &[Value]) -> Outcome<usize> {
    let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
    if depth > MAX_DEPTH { Err("its values nest too deeply".into()) } else { Ok(depth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_that_is_said_again_and_again_does_not_fill_the_memory() {
        // A dictionary of many pairs, kept; then, again and again, it and one pair more.
        let mut pickle = b"}".to_vec();
        pickle.extend(b"NNs".repeat(10_000));
        pickle.extend(b"q\x00");
        pickle.extend(b"h\x00NNs".repeat(10_000));
        pickle.push(b'.');
        let refused = parse(&pickle).expect_err("a hundred million pairs");
        assert_eq!(refused, "it changes what it has said before, again and again");
    }
}
