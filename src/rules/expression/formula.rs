//! A bounded expression: the operators of CEL over names that are known, and nothing else of it.
//!
//! The text is parsed by the CEL library. What is allowed is then taken from the tree by a list of what may stand there,
//! so what a later version of the library adds is refused until it is added here. Whole numbers become floating-point
//! ones, so `5 > 4.0` and `7 / 2` mean what they mean in school. There are no loops: an evaluation visits each node at
//! most once.

use crate::model::Text;
use cel::Context;
use cel::common::ast::operators as op;
use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::common::types::{CelBool, CelDouble, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::parser::Parser;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Longest text, characters.
const MAX_CHARS: usize = 500;
/// Most nodes of the tree.
const MAX_NODES: usize = 200;
/// Deepest nesting.
const MAX_DEPTH: usize = 24;
/// Deepest nesting in the library's own count, which sees more levels.
const PARSER_DEPTH: u16 = 96;

const ARITHMETIC: &[&str] = &[op::ADD, op::SUBSTRACT, op::MULTIPLY, op::DIVIDE];
const ORDER: &[&str] = &[op::LESS, op::LESS_EQUALS, op::GREATER, op::GREATER_EQUALS];

/// Built once: it is a hundred times as dear as an evaluation.
static OPERATORS: LazyLock<Context<'static, 'static>> = LazyLock::new(Context::default);

/// What a name stands for, as far as it is known before anything is measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Sort {
    /// A number within these bounds.
    Number(f64, f64),
    /// True or false.
    Flag,
    /// This text.
    Text(String),
}

/// What a name stands for now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'v> {
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A text.
    Text(&'v str),
}

/// An expression that is true or false.
#[derive(Debug, Clone)]
pub struct Formula {
    tree: IdedExpr,
    names: BTreeSet<String>,
}

/// What a part of an expression can come to.
#[derive(Debug, Clone, PartialEq)]
enum Reach {
    Number(f64, f64),
    Flag { true_: bool, false_: bool },
    Text(String),
}

impl Formula {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let chars = text.chars().count();
        if chars > MAX_CHARS {
            return Err((
                format!("表达式有 {chars} 个字符，最多 {MAX_CHARS} 个"),
                format!("the expression has {chars} characters, at most {MAX_CHARS} are allowed"),
            )
                .into());
        }
        if let Some(odd) =
            text.chars().find(|c| matches!(c, '（' | '）' | '＞' | '＜' | '＝' | '＆' | '“' | '”'))
        {
            return Err((
                format!("'{odd}' 是全角字符：请用英文输入法"),
                format!("'{odd}' is a full-width character: write it with the English keyboard"),
            )
                .into());
        }
        let parser = Parser::new().max_recursion_depth(PARSER_DEPTH);
        let mut tree = parser.parse(text).map_err(|errors| {
            let first = errors.errors.first();
            let (column, why) = first.map_or((1, ""), |error| (error.pos.1, error.msg.as_str()));
            // What was expected instead is a list of tokens that says less than the place.
            let why =
                why.split(" expecting ").next().unwrap_or_default().trim_start_matches("Syntax error: ");
            (
                format!("这不是表达式：第 {column} 个字符处，{why}"),
                format!("this is no expression: at character {column}, {why}"),
            )
        })?;
        let mut admitted = Admitted { nodes: 0, names: BTreeSet::new() };
        admitted.admit(&mut tree, 0)?;
        Ok(Self { tree, names: admitted.names })
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether it can be true and whether it can be false, by what its names can stand for.
    ///
    /// # Errors
    /// A name that is not known, or an operator on something that it does not fit.
    pub fn reach(&self, known: &dyn Fn(&str) -> Option<Sort>) -> Result<(bool, bool), Text> {
        match reach(&self.tree, known)? {
            Reach::Flag { true_, false_ } => Ok((true_, false_)),
            Reach::Number(..) => {
                Err(("表达式的结果是数，不是真假", "the expression is a number, not true or false").into())
            }
            Reach::Text(_) => {
                Err(("表达式的结果是文字，不是真假", "the expression is a text, not true or false").into())
            }
        }
    }

    /// Whether it holds; `None` where what is missing would decide.
    #[must_use]
    pub fn judge<'g>(&self, given: &'g (dyn Fn(&str) -> Option<Value<'g>> + Send + Sync)) -> Option<bool> {
        let given = Given(given);
        let mut scope = OPERATORS.new_inner_scope();
        scope.set_variable_resolver(&given);
        let value = cel::Value::resolve_val(&self.tree, &scope).ok()?;
        value.downcast_ref::<CelBool>().map(|flag| *flag.inner())
    }
}

/// Values by name, as the library asks for them.
struct Given<'g>(&'g (dyn Fn(&str) -> Option<Value<'g>> + Send + Sync));

impl VariableResolver for Given<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        Some(match (self.0)(name)? {
            Value::Number(number) => CowVal::owned(CelDouble::from(number)),
            Value::Flag(flag) => CowVal::owned(CelBool::from(flag)),
            Value::Text(text) => CowVal::owned(CelString::from(text.to_owned())),
        })
    }
}

/// Takes what is allowed, and counts.
struct Admitted {
    nodes: usize,
    names: BTreeSet<String>,
}

impl Admitted {
    fn admit(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), Text> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err((
                format!("表达式超过 {MAX_NODES} 个部分"),
                format!("the expression has more than {MAX_NODES} parts"),
            )
                .into());
        }
        if depth > MAX_DEPTH {
            return Err((
                format!("表达式嵌套超过 {MAX_DEPTH} 层"),
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            )
                .into());
        }
        let dotted = dotted(&node.expr);
        match &mut node.expr {
            Expr::Literal(literal) => admit_literal(literal),
            Expr::Ident(_) | Expr::Select(_) => {
                let name = dotted.ok_or((
                    "'.' 只能用在 device.… 里",
                    "only device.… has parts: there is no other use of '.'",
                ))?;
                self.names.insert(name.clone());
                node.expr = Expr::Ident(name);
                Ok(())
            }
            Expr::Call(call) => {
                let operator = call.func_name.as_str();
                let list = operator == op::IN;
                let known = [op::CONDITIONAL, op::LOGICAL_AND, op::LOGICAL_OR, op::LOGICAL_NOT, op::NEGATE];
                let known = known.contains(&operator)
                    || [op::EQUALS, op::NOT_EQUALS, op::IN].contains(&operator)
                    || ARITHMETIC.contains(&operator)
                    || ORDER.contains(&operator);
                if !known || call.target.is_some() {
                    return Err(Text::new(
                        format!("'{}' 不能用在这里：{}", shown(operator), ALLOWED.0),
                        format!("'{}' cannot be used here: {}", shown(operator), ALLOWED.1),
                    ));
                }
                for (turn, part) in call.args.iter_mut().enumerate() {
                    if list && turn == 1 {
                        self.admit_list(part, depth + 1)?;
                    } else {
                        self.admit(part, depth + 1)?;
                    }
                }
                Ok(())
            }
            Expr::List(_) => Err((
                "列表只能写在 'in' 后面：weekday in [6, 7]",
                "a list stands behind 'in' only: weekday in [6, 7]",
            )
                .into()),
            Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err(Text::new(
                format!("这里不能用它：{}", ALLOWED.0),
                format!("this cannot be used here: {}", ALLOWED.1),
            )),
        }
    }

    /// The list behind `in`: numbers or texts, as they are written.
    fn admit_list(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), Text> {
        let Expr::List(list) = &mut node.expr else {
            return Err((
                "'in' 后面要写列表：weekday in [6, 7]",
                "behind 'in' stands a list: weekday in [6, 7]",
            )
                .into());
        };
        if list.elements.is_empty() || !list.optional_indices.is_empty() {
            return Err((
                "'in' 后面的列表里要有数或文字：[6, 7]",
                "the list behind 'in' has numbers or texts in it: [6, 7]",
            )
                .into());
        }
        for element in &mut list.elements {
            if !matches!(element.expr, Expr::Literal(_)) {
                return Err((
                    "'in' 后面的列表里只能直接写数或文字：[6, 7]",
                    "the list behind 'in' has plain numbers or texts in it: [6, 7]",
                )
                    .into());
            }
            self.admit(element, depth)?;
        }
        Ok(())
    }
}

const ALLOWED: (&str, &str) = (
    "只能用 + - * / == != < <= > >= && || ! ?: 和 in，没有函数和循环",
    "there are + - * / == != < <= > >= && || ! ?: and in, no functions and no loops",
);

/// `device.place` as one name.
fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => match &select.operand.expr {
            Expr::Ident(name) => Some(format!("{name}.{}", select.field)),
            _ => None,
        },
        _ => None,
    }
}

fn admit_literal(literal: &mut LiteralValue) -> Result<(), Text> {
    #[expect(clippy::cast_precision_loss, reason = "numbers people write are far below 2^53")]
    let number = match literal {
        LiteralValue::Int(number) => Some(*number.inner() as f64),
        LiteralValue::UInt(number) => Some(*number.inner() as f64),
        LiteralValue::Double(number) => Some(*number.inner()),
        LiteralValue::Boolean(_) | LiteralValue::String(_) => None,
        LiteralValue::Bytes(_) | LiteralValue::Null => {
            return Err((
                "只能用数、文字、true 和 false",
                "there are numbers, texts, true and false, nothing else",
            )
                .into());
        }
    };
    if let Some(number) = number {
        if !number.is_finite() {
            return Err(("这个数太大", "this number is too large").into());
        }
        *literal = LiteralValue::Double(CelDouble::from(number));
    }
    Ok(())
}

fn shown(operator: &str) -> &str {
    operator.trim_matches(['_', '@'])
}

fn reach(node: &IdedExpr, known: &dyn Fn(&str) -> Option<Sort>) -> Result<Reach, Text> {
    match &node.expr {
        Expr::Literal(LiteralValue::Double(number)) => Ok(Reach::Number(*number.inner(), *number.inner())),
        Expr::Literal(LiteralValue::Boolean(flag)) => Ok(sure(*flag.inner())),
        Expr::Literal(LiteralValue::String(text)) => Ok(Reach::Text(text.inner().to_owned())),
        Expr::Ident(name) => match known(name) {
            Some(Sort::Number(low, high)) => Ok(Reach::Number(low, high)),
            Some(Sort::Flag) => Ok(Reach::Flag { true_: true, false_: true }),
            Some(Sort::Text(text)) => Ok(Reach::Text(text)),
            None => Err((format!("不认识 '{name}'"), format!("'{name}' is not known")).into()),
        },
        Expr::Call(call) => {
            if call.func_name == op::IN
                && let [left, list] = call.args.as_slice()
                && let Expr::List(list) = &list.expr
            {
                let left = reach(left, known)?;
                let mut any = Reach::Flag { true_: false, false_: true };
                for element in &list.elements {
                    let one = equal(&left, &reach(element, known)?, "in")?;
                    any = either(&any, &one);
                }
                return Ok(any);
            }
            let parts: Vec<Reach> =
                call.args.iter().map(|part| reach(part, known)).collect::<Result<_, _>>()?;
            applied(&call.func_name, &parts)
        }
        _ => Err(("这里不能用它", "this cannot be used here").into()),
    }
}

fn sure(flag: bool) -> Reach {
    Reach::Flag { true_: flag, false_: !flag }
}

/// What an operator comes to.
fn applied(operator: &str, parts: &[Reach]) -> Result<Reach, Text> {
    let sign = shown(operator);
    match parts {
        [Reach::Number(a, b), Reach::Number(c, d)] if ARITHMETIC.contains(&operator) => {
            Ok(bounds(operator, (*a, *b), (*c, *d)))
        }
        [Reach::Number(a, b), Reach::Number(c, d)] if ORDER.contains(&operator) => {
            let (true_, false_) = match operator {
                op::LESS => (a < d, b >= c),
                op::LESS_EQUALS => (a <= d, b > c),
                op::GREATER => (b > c, a <= d),
                _ => (b >= c, a < d),
            };
            Ok(Reach::Flag { true_, false_ })
        }
        [Reach::Number(low, high)] if operator == op::NEGATE => Ok(Reach::Number(-high, -low)),
        [Reach::Flag { true_, false_ }] if operator == op::LOGICAL_NOT => {
            Ok(Reach::Flag { true_: *false_, false_: *true_ })
        }
        [left @ Reach::Flag { .. }, right @ Reach::Flag { .. }] if operator == op::LOGICAL_OR => {
            Ok(either(left, right))
        }
        [Reach::Flag { true_: a, false_: b }, Reach::Flag { true_: c, false_: d }]
            if operator == op::LOGICAL_AND =>
        {
            Ok(Reach::Flag { true_: *a && *c, false_: *b || *d })
        }
        [left, right] if operator == op::EQUALS => equal(left, right, sign),
        [left, right] if operator == op::NOT_EQUALS => applied(op::LOGICAL_NOT, &[equal(left, right, sign)?]),
        [Reach::Flag { true_, false_ }, then, other] if operator == op::CONDITIONAL => {
            union(then, other, *true_, *false_)
        }
        _ if operator == op::CONDITIONAL => {
            Err(("'?' 前面要写真假", "before '?' stands something that is true or false").into())
        }
        _ if [op::LOGICAL_AND, op::LOGICAL_OR, op::LOGICAL_NOT].contains(&operator) => Err((
            format!("'{sign}' 连接真假，不能连接数和文字"),
            format!("'{sign}' joins what is true or false, not numbers and texts"),
        )
            .into()),
        _ => Err((format!("'{sign}' 只用于数"), format!("'{sign}' is for numbers")).into()),
    }
}

fn either(left: &Reach, right: &Reach) -> Reach {
    match (left, right) {
        (Reach::Flag { true_: a, false_: b }, Reach::Flag { true_: c, false_: d }) => {
            Reach::Flag { true_: *a || *c, false_: *b && *d }
        }
        _ => Reach::Flag { true_: true, false_: true },
    }
}

fn equal(left: &Reach, right: &Reach, sign: &str) -> Result<Reach, Text> {
    match (left, right) {
        (Reach::Number(a, b), Reach::Number(c, d)) => {
            let one = |low: &f64, high: &f64| low.total_cmp(high).is_eq();
            let same = one(a, b) && one(c, d) && one(a, c);
            Ok(Reach::Flag { true_: a <= d && c <= b, false_: !same })
        }
        (Reach::Text(a), Reach::Text(b)) => Ok(sure(a == b)),
        (Reach::Flag { true_: a, false_: b }, Reach::Flag { true_: c, false_: d }) => {
            Ok(Reach::Flag { true_: (*a && *c) || (*b && *d), false_: (*a && *d) || (*b && *c) })
        }
        _ => Err((
            format!("'{sign}' 只能数与数比、文字与文字比"),
            format!("'{sign}' compares a number with a number, or a text with a text"),
        )
            .into()),
    }
}

/// What one of two can come to.
fn union(then: &Reach, other: &Reach, first: bool, second: bool) -> Result<Reach, Text> {
    match (then, other) {
        (Reach::Number(a, b), Reach::Number(c, d)) => Ok(match (first, second) {
            (true, false) => Reach::Number(*a, *b),
            (false, true) => Reach::Number(*c, *d),
            _ => Reach::Number(a.min(*c), b.max(*d)),
        }),
        (Reach::Flag { true_: a, false_: b }, Reach::Flag { true_: c, false_: d }) => Ok(Reach::Flag {
            true_: (*a && first) || (*c && second),
            false_: (*b && first) || (*d && second),
        }),
        _ => Err((
            "':' 两边要是同一种东西：两个数，或两个真假",
            "on both sides of ':' stands the same sort of thing: two numbers, or two that are true or false",
        )
            .into()),
    }
}

/// Bounds of a sum, difference, product or quotient; what is not sure is anything.
fn bounds(operator: &str, (a, b): (f64, f64), (c, d): (f64, f64)) -> Reach {
    let corners = match operator {
        op::ADD => vec![a + c, b + d],
        op::SUBSTRACT => vec![a - d, b - c],
        op::MULTIPLY => vec![a * c, a * d, b * c, b * d],
        _ if c <= 0.0 && d >= 0.0 => vec![f64::NAN],
        _ => vec![a / c, a / d, b / c, b / d],
    };
    if corners.iter().any(|corner| corner.is_nan()) {
        return Reach::Number(f64::NEG_INFINITY, f64::INFINITY);
    }
    let low = corners.iter().copied().fold(f64::INFINITY, f64::min);
    Reach::Number(low, corners.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}
