//! The frame of every page: landmarks, navigation, who is signed in.

use form_urlencoded::Serializer;
use kit::problem::Problem;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{BASE, asset, guard::Visitor};

/// Where a page stands in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Home,
    Reports,
    Sources,
    Jobs,
    Exports,
    /// None of them.
    Elsewhere,
}

/// The rooms, with what they are called and where they are.
const ROOMS: [(Room, &str, &str); 5] = [
    (Room::Home, "Last night", "/"),
    (Room::Reports, "Reports", "/reports"),
    (Room::Sources, "Sources", "/sources"),
    (Room::Jobs, "Jobs", "/jobs"),
    (Room::Exports, "Exports", "/exports"),
];

/// What a page needs of its frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) visitor: Option<&'a Visitor>,
    pub(super) room: Room,
    pub(super) title: &'a str,
    /// Whether the chart library is needed.
    pub(super) charts: bool,
    /// Seconds after which a browser without scripts asks again, while something is going on.
    pub(super) again: Option<u8>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(visitor: &'a Visitor, room: Room, title: &'a str) -> Self {
        Self { visitor: Some(visitor), room, title, charts: false, again: None }
    }

    /// The page around its content, which begins with an `h1`.
    pub(super) fn page(self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(self.title, self.charts, self.again))
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        a.brand href={ (BASE) "/" } { (mark()) "Tributary" }
                        @if let Some(visitor) = self.visitor {
                            (navigation(self.room, visitor))
                        }
                    }
                    main #content tabindex="-1" { (content) }
                }
            }
        }
    }
}

fn head(title: &str, charts: bool, again: Option<u8>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Tributary" }
            link rel="icon" type="image/svg+xml" href=(asset::icon());
            link rel="stylesheet" href=(asset::style());
            @if charts {
                script src=(asset::charts()) defer {}
            }
            script src=(asset::script()) defer {}
            @if let Some(seconds) = again {
                noscript { meta http-equiv="refresh" content=(seconds); }
            }
        }
    }
}

fn navigation(here: Room, visitor: &Visitor) -> Markup {
    let all = visitor.session.role.sees_operations();
    let rooms = ROOMS.iter().filter(|(room, _, _)| all || matches!(room, Room::Home | Room::Reports));
    html! {
        nav aria-label="Console" {
            ul {
                @for (room, name, path) in rooms {
                    li { a href={ (BASE) (path) } aria-current=[(*room == here).then_some("page")] { (name) } }
                }
            }
        }
        form.who method="post" action={ (BASE) "/sign-out" } {
            span { span.sr { "Signed in as " } (visitor.session.consumer) }
            button.quiet { "Sign out" }
        }
    }
}

/// A page without navigation: the form for the key.
pub(super) fn bare(title: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false, None))
            body.bare { main #content { (content) } }
        }
    }
}

/// The page of something that did not work.
pub(super) fn problem(visitor: Option<&Visitor>, problem: &Problem) -> Markup {
    let frame = Frame { visitor, room: Room::Elsewhere, title: &problem.title, charts: false, again: None };
    frame.page(&html! {
        div.problem {
            p.soft { "Error " (problem.status) }
            h1 { (problem.title) }
            p { (sentence(&problem.detail)) }
            @if let Some(field) = &problem.field {
                p { "At fault: " code { (field) } }
            }
            @if let Some(id) = problem.correlation_id.as_ref().filter(|_| problem.status >= 500) {
                p.small.soft { "The logs know it as " code { (id) } "." }
            }
            p { a.button href={ (BASE) "/" } { "Last night" } " " a.button href={ (BASE) "/reports" } { "Reports" } }
        }
    })
}

/// A detail of the API as a sentence.
pub(super) fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if detail.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Three rivers that become one.
pub(super) fn mark() -> Markup {
    PreEscaped(
        r#"<svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"><path d="M4 3c0 6 8 5 8 11v7"/><path d="M12 3v11"/><path d="M20 3c0 6-8 5-8 11"/></svg>"#
            .to_owned(),
    )
}

/// The token that makes a form ours.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="form" value=(visitor.form_token); }
}

/// The way to the next page of a list.
pub(super) fn older(next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            @let query = Serializer::new(String::new()).append_pair("after", next).finish();
            nav.turn aria-label="Pages" { a.button rel="next" href={ "?" (query) } { "Older" } }
        }
    }
}

/// A state in a word, with its colour: never the colour alone.
pub(super) fn pill(tone: Tone, word: &str) -> Markup {
    html! { span class={ "pill " (tone.class()) } { (word) } }
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warn,
    Bad,
    Calm,
    Busy,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Calm => "calm",
            Self::Busy => "busy",
        }
    }
}
