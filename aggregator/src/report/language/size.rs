//! How large a statement may be: looked at before anything is parsed, because whatever visits a tree does so by recursion.

use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::diagnostic::Fault;

/// Characters of a file's statement.
const LENGTH: usize = 100_000;
/// Words, numbers, texts and signs.
const TOKENS: usize = 20_000;
/// SELECT and JOIN, each of which makes the plan one step deeper.
const TABLES: usize = 100;
/// Operators and parentheses within each other: `1 + 2 + 3` is two deep.
const DEPTH: usize = 100;

/// Refuses a statement that is larger than any that people write.
///
/// # Errors
/// The bound that it breaks, and where.
pub(super) fn bounded(sql: &str) -> Result<(), Fault> {
    if sql.len() > LENGTH {
        let at = Location { line: 1, column: 1 };
        return Err(too(at, &format!("long: {} characters, of at most {LENGTH}", sql.len())));
    }
    // What is no token is the parser's to tell.
    let Ok(tokens) = Tokenizer::new(&GenericDialect, sql).tokenize_with_location() else { return Ok(()) };
    let mut tables = 0;
    // Operators seen at each level of parentheses since the last comma or clause.
    let mut levels = vec![0_usize];
    for (number, token) in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).enumerate() {
        let at = token.span.start;
        if number >= TOKENS {
            return Err(too(at, &format!("long: more than {TOKENS} words and signs")));
        }
        match &token.token {
            Token::LParen | Token::LBracket => levels.push(0),
            Token::RParen | Token::RBracket if levels.len() > 1 => {
                levels.pop();
            }
            Token::Comma => restart(&mut levels),
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::SELECT | Keyword::JOIN => {
                    tables += 1;
                    restart(&mut levels);
                }
                Keyword::FROM | Keyword::ON | Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER => {
                    restart(&mut levels);
                }
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::BETWEEN => deepen(&mut levels),
                _ => {}
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::EOF
            | Token::SemiColon
            | Token::RParen
            | Token::RBracket => {}
            _ => deepen(&mut levels),
        }
        if tables > TABLES {
            return Err(too(at, &format!("large: more than {TABLES} SELECT and JOIN")));
        }
        if levels.iter().sum::<usize>() + levels.len() > DEPTH {
            return Err(too(at, &format!("deep: more than {DEPTH} operators and parentheses within each other"))
                .hint("a CTE for each part"));
        }
    }
    Ok(())
}

fn too(at: Location, what: &str) -> Fault {
    Fault::at(at, format!("the statement is too {what}"))
}

fn restart(levels: &mut [usize]) {
    if let Some(last) = levels.last_mut() {
        *last = 0;
    }
}

fn deepen(levels: &mut [usize]) {
    if let Some(last) = levels.last_mut() {
        *last += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::bind::{bind, parse};
    use super::super::check::check;
    use super::DEPTH;

    /// Forms that nest, each as deep as asked.
    fn forms(depth: usize) -> Vec<String> {
        vec![
            format!("SELECT a{} FROM t", " + a".repeat(depth)),
            format!("SELECT {}a{} FROM t", "(".repeat(depth), ")".repeat(depth)),
            format!("SELECT {} a FROM t", "- ".repeat(depth)),
            format!("SELECT a FROM t WHERE {} a", "NOT ".repeat(depth)),
            format!("SELECT a FROM t WHERE a = 1{}", " OR a = 1".repeat(depth / 2)),
            format!("SELECT {}a{} FROM t", "ABS(".repeat(depth), ")".repeat(depth)),
            format!("SELECT {}1{} FROM t", "CASE WHEN a THEN ".repeat(depth / 2), " END".repeat(depth / 2)),
            format!("SELECT a FROM t{}", " UNION ALL SELECT a FROM t".repeat(depth)),
            format!("SELECT a FROM {}t{}", "(SELECT a FROM ".repeat(depth), ")".repeat(depth)),
        ]
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_parsed() {
        for form in forms(60_000) {
            assert!(too_large(&form), "{}", form.get(..60).unwrap());
            // The same below the bound on length.
            assert!(too_large(form.get(..90_000).unwrap_or(&form)));
        }
        for form in forms(DEPTH + 2) {
            assert!(too_large(&form), "{}", form.get(..60).unwrap());
        }
    }

    fn too_large(sql: &str) -> bool {
        parse(sql).is_err_and(|fault| fault.message.contains("too"))
    }

    /// Two megabytes, as an ordinary thread has.
    #[test]
    fn what_is_not_too_large_fits_an_ordinary_stack() {
        let work = || {
            let known = BTreeSet::from(["t".to_owned()]);
            let mut read = 0;
            for form in forms(DEPTH - 10) {
                let Ok(query) = parse(&form) else { continue };
                read += 1;
                // Whatever it says: it says it.
                drop(check(&query, &known));
                drop(bind(&query, &BTreeMap::new()));
            }
            assert!(read > 2, "{read}");
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
    }
}
