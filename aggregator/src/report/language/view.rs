//! Views: statements that several reports share, put into a report's WITH when it uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use polars::prelude::{Schema, SchemaRef};
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{Cte, Ident, ObjectName, Query, TableAlias, Visit as _, Visitor, With};

use super::bind::{parse, printed, read_back};
use super::catalogue::{Schemas, Source};
use super::check::check;
use super::diagnostic::{Diagnostic, Fault};
use super::header::{Shared, ViewHeader, read, split};
use super::keep::{self, ByDay, Kept};
use super::schema::output;

/// Views that a statement may come down to: each makes the plan deeper.
const MOST: usize = 50;

/// One compiled view.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub title: String,
    pub description: String,
    /// What columns of these names mean, in this view and in the reports that read it.
    pub measures: BTreeMap<String, String>,
    /// What reports may inherit, and the header in which it is written.
    shared: Option<(Shared, String)>,
    query: Query,
    /// Its columns, once it is sound.
    schema: SchemaRef,
    /// Datasets and views it reads itself.
    reads: BTreeSet<String>,
    /// The columns of its key, if its rows are to be kept.
    keep: Option<Vec<String>>,
    /// How they are, once it is sound.
    kept: Option<Arc<Kept>>,
}

impl View {
    /// How its rows are kept, if they are.
    #[must_use]
    pub fn kept(&self) -> Option<&Arc<Kept>> {
        self.kept.as_ref()
    }
}

/// The sound views, by name.
#[derive(Debug, Default)]
pub(crate) struct Views(BTreeMap<String, View>);

impl Views {
    /// Compiles views; what is wrong goes to `broken` under `views/<name>`.
    pub(crate) fn compile(
        sources: &BTreeMap<String, Source>,
        schemas: &Schemas,
        broken: &mut BTreeMap<String, Vec<Diagnostic>>,
    ) -> Self {
        let known: BTreeSet<String> = schemas.keys().chain(sources.keys()).cloned().collect();
        let mut waiting: BTreeMap<&str, View> = BTreeMap::new();
        let mut fail = |source: &Source, fault: Fault| {
            broken.entry(format!("views/{}", source.name)).or_default().push(fault.in_file(&source.label));
        };
        for (name, source) in sources {
            match read_view(source, &known, schemas) {
                Ok(view) => {
                    waiting.insert(name, view);
                }
                Err(fault) => fail(source, fault),
            }
        }
        // A view is sound once all it reads is: what is left at the end waits for itself or for a broken one.
        let mut sound = Self::default();
        let mut by_day = keep::datasets(schemas);
        while let Some(name) = waiting
            .iter()
            .find(|(_, view)| view.reads.iter().all(|read| schemas.contains_key(read) || sound.0.contains_key(read)))
            .map(|(name, _)| *name)
        {
            let Some(mut view) = waiting.remove(name) else { break };
            match sound.look_at(&mut view, schemas, &mut by_day) {
                Ok(()) => {
                    sound.0.insert(name.to_owned(), view);
                }
                Err(fault) => {
                    if let Some(source) = sources.get(name) {
                        fail(source, fault);
                    }
                }
            }
        }
        for (name, view) in waiting {
            let on: Vec<&str> =
                view.reads.iter().filter(|read| !schemas.contains_key(*read)).map(String::as_str).collect();
            let fault = Fault::new(format!("reads {}, which is broken or reads this view again", on.join(", ")));
            if let Some(source) = sources.get(name) {
                fail(source, fault);
            }
        }
        sound
    }

    /// Finds out what a view gives, and whether its rows can be kept where they are to be.
    fn look_at(&self, view: &mut View, schemas: &Schemas, by_day: &mut ByDay) -> Result<(), Fault> {
        let schema = output(&view.query, schemas, &self.schemas())?;
        let found = keep::by_day(&view.query, by_day);
        let against = |fault: &Fault| format!("the view \"{}\" reads more than one day: {}", view.name, fault.message);
        by_day.insert(view.name.clone(), found.as_ref().copied().map_err(against));
        if let Some(key) = view.keep.take() {
            found?;
            let select = self.expand(&view.query, &view.reads)?;
            let kept = keep::kept((&view.name, key), &select, &schema, self.datasets(&view.reads))?;
            view.kept = Some(Arc::new(kept));
        }
        view.schema = Arc::new(schema);
        Ok(())
    }

    /// The views with kept rows that these come down to, each once; what lies beneath such a one is not looked at.
    pub(crate) fn kept(&self, reads: &BTreeSet<String>) -> BTreeMap<String, Arc<Kept>> {
        let views = reads.iter().filter_map(|read| self.0.get(read));
        views
            .flat_map(|view| match &view.kept {
                Some(kept) => BTreeMap::from([(view.name.clone(), Arc::clone(kept))]),
                None => self.kept(&view.reads),
            })
            .collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The columns of each view.
    pub(crate) fn schemas(&self) -> Schemas {
        self.0.iter().map(|(name, view)| (name.clone(), Arc::clone(&view.schema))).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &View> {
        self.0.values()
    }

    /// The statement with the views that it reads, and those that these read, before its own CTEs.
    pub(crate) fn expand(&self, query: &Query, reads: &BTreeSet<String>) -> Result<Query, Fault> {
        let mut order = Vec::new();
        for read in reads {
            self.collect(read, &mut order);
        }
        let mut query = query.clone();
        if order.len() > MOST {
            return Err(Fault::new(format!("reads {} views through each other, of at most {MOST}", order.len())));
        }
        if !order.is_empty() {
            let own = query.with.take().map(|with| with.cte_tables).unwrap_or_default();
            let cte_tables = order.into_iter().map(cte).chain(own).collect();
            query.with = Some(With { with_token: AttachedToken::empty(), recursive: false, cte_tables });
        }
        // Printed and parsed once, so that later comparisons see a tree that a parser made.
        read_back(&printed(&query))
    }

    /// Views in the order in which they must be defined, each once.
    fn collect<'a>(&'a self, name: &str, order: &mut Vec<&'a View>) {
        let Some(view) = self.0.get(name) else { return };
        if order.iter().any(|known| known.name == view.name) {
            return;
        }
        for read in &view.reads {
            self.collect(read, order);
        }
        order.push(view);
    }

    /// What reports inherit from a view, and the text that says it.
    pub(crate) fn shared(&self, name: &str) -> Result<(Shared, &str), Fault> {
        match self.0.get(name).map(|view| &view.shared) {
            Some(Some((shared, text))) => Ok((shared.clone(), text)),
            Some(None) => Err(Fault::new(format!("inherits from \"{name}\", whose header has no table [report]"))
                .hint("a view of your own in the place of a shipped one needs the shipped one's [report]")),
            None => Err(Fault::new(format!("inherits from \"{name}\", which is no sound view"))),
        }
    }

    /// What a measure is, as the views that are read define it; the nearest definition counts.
    pub(crate) fn measure(&self, reads: &BTreeSet<String>, name: &str) -> Option<&String> {
        let views = || reads.iter().filter_map(|read| self.0.get(read));
        views()
            .find_map(|view| view.measures.get(name))
            .or_else(|| views().find_map(|view| self.measure(&view.reads, name)))
    }

    /// The datasets that these datasets and views come down to.
    pub(crate) fn datasets(&self, reads: &BTreeSet<String>) -> BTreeSet<String> {
        reads
            .iter()
            .flat_map(|read| match self.0.get(read) {
                Some(view) => self.datasets(&view.reads),
                None => BTreeSet::from([read.clone()]),
            })
            .collect()
    }
}

/// A statement in which some of its CTEs are inputs: without them, and without those that only they need.
pub(crate) fn with_inputs(query: &Query, inputs: &BTreeSet<String>) -> Query {
    let mut query = query.clone();
    let Some(mut with) = query.with.take() else { return query };
    let mut needed = tables(&query);
    let mut ctes = Vec::new();
    // Each reads only those before it.
    for cte in with.cte_tables.into_iter().rev() {
        let name = &cte.alias.name.value;
        if needed.contains(name) && !inputs.contains(name) {
            needed.append(&mut tables(&cte.query));
            ctes.push(cte);
        }
    }
    ctes.reverse();
    with.cte_tables = ctes;
    query.with = Some(with).filter(|with| !with.cte_tables.is_empty());
    query
}

/// The names of tables that something reads.
#[derive(Default)]
struct Relations(BTreeSet<String>);

impl Visitor for Relations {
    type Break = Infallible;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Infallible> {
        self.0.insert(relation.to_string());
        ControlFlow::Continue(())
    }
}

/// The names of all tables that a statement reads, CTEs among them.
pub(crate) fn tables(query: &Query) -> BTreeSet<String> {
    let mut read = Relations::default();
    let ControlFlow::Continue(()) = query.visit(&mut read);
    read.0
}

fn cte(view: &View) -> Cte {
    let alias = TableAlias { explicit: false, name: Ident::new(view.name.as_str()), columns: Vec::new(), at: None };
    let query = Box::new(view.query.clone());
    Cte { alias, query, from: None, materialized: None, closing_paren_token: AttachedToken::empty() }
}

fn read_view(source: &Source, known: &BTreeSet<String>, schemas: &Schemas) -> Result<View, Fault> {
    if schemas.contains_key(&source.name) {
        return Err(Fault::new(format!("\"{}\" is a dataset's name", source.name)));
    }
    let (header, sql) = split(&source.text)?;
    let ViewHeader { title, description, measures, keep, key, report } = read(header)?;
    let keep = match (keep, key) {
        (Some(keep::Keep::Day), Some(key)) => Some(key),
        (Some(keep::Keep::Day), None) => {
            return Err(Fault::new("`keep` needs `key`: the columns that tell the rows apart"));
        }
        (None, Some(_)) => return Err(Fault::new("`key` is of a view whose rows are kept: keep = \"day\"")),
        (None, None) => None,
    };
    let query = parse(&sql)?;
    let references = check(&query, known)?;
    if let Some(name) = references.placeholders.first() {
        return Err(Fault::new(format!("a view takes no parameter, but ${name} stands in it")));
    }
    if query.order_by.is_some() || query.limit_clause.is_some() {
        return Err(Fault::new("a view has neither ORDER BY nor LIMIT: the report orders"));
    }
    let shared = report.map(|report| (report, header.to_owned()));
    let (name, reads, schema) = (source.name.clone(), references.tables, Arc::new(Schema::default()));
    Ok(View { name, title, description, measures, shared, query, schema, reads, keep, kept: None })
}
