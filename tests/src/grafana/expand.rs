//! From a query in a file to the query that is sent: variables first, as the browser fills them in, then the macros
//! of the data source. Only what the dashboards use; anything else that looks like a variable is an error.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, SecondsFormat, Utc};

/// What a query is expanded with: the time range of the dashboard and the values chosen.
#[derive(Debug, Clone)]
pub struct Scene {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub variables: BTreeMap<String, Vec<String>>,
}

/// A variable or macro that nothing defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

/// How a variable is written where no format is named.
#[derive(Clone, Copy)]
enum Form {
    /// In SQL, where each use names its format.
    Bare,
    /// In a matcher of PromQL: one value as it is, several as a regular expression.
    Regex,
}

impl Scene {
    /// The last `span`, such as `30d` or `6h`, up to `now`.
    ///
    /// # Panics
    /// When the text is no span.
    pub fn last(span: &str, now: DateTime<Utc>) -> Self {
        let (number, unit) = span.split_at(span.len() - 1);
        let number: i64 = number.parse().unwrap_or_else(|_| panic!("{span} is no span"));
        let length = match unit {
            "d" => Duration::days(number),
            "h" => Duration::hours(number),
            _ => panic!("{span} is no span"),
        };
        Self { from: now - length, to: now, variables: BTreeMap::new() }
    }

    /// SQL as PostgreSQL gets it.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn sql(&self, text: &str) -> Result<String, Unknown> {
        self.macros(&self.fill(text, Form::Bare)?)
    }

    /// PromQL as Prometheus gets it.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn promql(&self, text: &str) -> Result<String, Unknown> {
        let range = format!("{}s", (self.to - self.from).num_seconds());
        // Grafana's rate interval is never below four scrapes of 15 s.
        self.fill(&text.replace("$__rate_interval", "1m").replace("$__range", &range), Form::Regex)
    }

    /// A link, a title or another text.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn text(&self, text: &str) -> Result<String, Unknown> {
        self.fill(text, Form::Bare)
    }

    fn fill(&self, text: &str, form: Form) -> Result<String, Unknown> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(inside) = tail.strip_prefix('{') {
                let (expression, after) = inside.split_once('}').ok_or_else(|| Unknown(format!("${tail}")))?;
                let (name, format) = expression.split_once(':').unwrap_or((expression, ""));
                out.push_str(&self.value(name, format, form)?);
                rest = after;
                continue;
            }
            let end = tail.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(tail.len());
            let (name, after) = tail.split_at(end);
            // A number is a group of a regular expression, a bracket behind a name makes it a macro.
            if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) || after.starts_with('(') {
                out.push('$');
                out.push_str(name);
            } else {
                out.push_str(&self.value(name, "", form)?);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str, format: &str, form: Form) -> Result<String, Unknown> {
        let unknown = || Unknown(format!("${{{name}:{format}}}"));
        if let Some(moment) = match name {
            "__from" => Some(self.from),
            "__to" => Some(self.to),
            _ => None,
        } {
            return match format {
                "date:YYYY-MM-DD" => Ok(moment.date_naive().to_string()),
                _ => Err(unknown()),
            };
        }
        let values = self.variables.get(name).ok_or_else(unknown)?;
        let one = || values.first().cloned().unwrap_or_default();
        match (format, form) {
            ("sqlstring", _) => {
                let quoted = |value: &String| format!("'{}'", value.replace('\'', "''"));
                Ok(values.iter().map(quoted).collect::<Vec<_>>().join(","))
            }
            ("", _) if values.len() == 1 => Ok(one()),
            ("", Form::Regex) => Ok(format!("({})", values.join("|"))),
            _ => Err(unknown()),
        }
    }

    /// `$__name(argument)`, as the PostgreSQL data source replaces it.
    fn macros(&self, text: &str) -> Result<String, Unknown> {
        let moment = |at: DateTime<Utc>| format!("'{}'", at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let (from, to) = (moment(self.from), moment(self.to));
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("$__") {
            out.push_str(before);
            let unknown = || Unknown(format!("$__{tail}"));
            let (call, after) = tail.split_once(')').ok_or_else(unknown)?;
            let (name, argument) = call.split_once('(').ok_or_else(unknown)?;
            out.push_str(&match name {
                "timeFilter" => format!("{argument} BETWEEN {from} AND {to}"),
                "timeFrom" => from.clone(),
                "timeTo" => to.clone(),
                _ => return Err(unknown()),
            });
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        let mut scene = Scene::last("30d", "2026-11-26T20:00:00Z".parse().unwrap());
        scene.variables.insert("store".to_owned(), vec!["TOR".to_owned(), "O'Hare".to_owned()]);
        scene.variables.insert("day".to_owned(), vec!["2026-11-25".to_owned()]);
        scene.variables.insert("service".to_owned(), vec![".+".to_owned()]);
        scene
    }

    #[test]
    fn macros_become_what_the_manual_says() {
        let sql = "SELECT 1 WHERE $__timeFilter(r.day) AND day > $__timeTo()::date - 7";
        let sent = "SELECT 1 WHERE r.day BETWEEN '2026-10-27T20:00:00Z' AND '2026-11-26T20:00:00Z' \
                    AND day > '2026-11-26T20:00:00Z'::date - 7";
        assert_eq!(scene().sql(sql).unwrap(), sent);
        assert!(scene().sql("$__timeGruop(day, '1d')").is_err());
        assert!(scene().sql("$__interval").is_err());
    }

    #[test]
    fn values_are_quoted_where_sql_needs_it() {
        assert_eq!(scene().sql("store IN (${store:sqlstring})").unwrap(), "store IN ('TOR','O''Hare')");
        assert_eq!(scene().sql("day = ${day:sqlstring}").unwrap(), "day = '2026-11-25'");
        assert_eq!(scene().sql("'$day'").unwrap(), "'2026-11-25'");
        assert_eq!(scene().sql("${shop:sqlstring}"), Err(Unknown("${shop:sqlstring}".to_owned())));
        assert!(scene().sql("store = '$store'").is_err(), "several values want a format");
    }

    #[test]
    fn promql_gets_regular_expressions_and_durations() {
        let scene = scene();
        let sent =
            scene.promql("rate(a{service=~\"$service\"}[$__rate_interval]) / b{s=~\"$store\"}[$__range]").unwrap();
        assert_eq!(sent, "rate(a{service=~\".+\"}[1m]) / b{s=~\"(TOR|O'Hare)\"}[2592000s]");
        assert_eq!(scene.promql("label_replace(a, \"b\", \"$1\", \"c\", \"d$\")").unwrap().matches('$').count(), 2);
    }

    #[test]
    fn links_carry_days() {
        let link = scene().text("/reports/x?from=${__from:date:YYYY-MM-DD}&to=${__to:date:YYYY-MM-DD}").unwrap();
        assert_eq!(link, "/reports/x?from=2026-10-27&to=2026-11-26");
    }
}
