//! Schemathesis, which nobody here wrote, asks every operation of each service's own OpenAPI document for what it
//! takes and for what it does not: no answer is a 5xx, undocumented, or of another shape than documented.

use futures_util::future::join_all;
use system_tests::{Stack, campaign, python, runs, seed};

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_answers_what_its_document_does_not_say() {
    let seed = seed().to_string();
    let examples = campaign(3, 100).to_string();
    // Patient, so that a busy machine is no silence of Inventory's.
    let mut builder = Stack::builder();
    let services = ["inventory", "retail", "ecommerce", "reporting"];
    for service in services {
        let prefix = service.to_uppercase();
        builder = builder.env(service, &format!("{prefix}_REQUEST_TIMEOUT_SECONDS"), "60");
        if ["retail", "ecommerce"].contains(&service) {
            builder = builder.env(service, &format!("{prefix}_CALL_TIMEOUT_SECONDS"), "30");
        }
    }
    let stack = builder.start().await;
    // Something to be found under the small ids that are tried.
    let shop = Shop::open(&stack, 2, 100).await;
    shop.sell(shop.products[0], 2).await;
    shop.cart(shop.products[0], 1).await;
    // Who refuses old data is told 503 as long as there is none.
    runs::poll_all(&stack).await;

    let state = stack.state();
    let judged = services.map(|service| {
        let document = format!("{}/openapi.json", state.services[service].url);
        let token = format!("x-gateway-token:{}", stack.gateway_token(service));
        let args = [document, token, seed.clone(), examples.clone()];
        let judge = move || python(PROGRAM, &args.each_ref().map(String::as_str));
        async move { (service, tokio::task::spawn_blocking(judge).await.unwrap()) }
    });
    for (service, found) in join_all(judged).await {
        assert!(found.ends_with("CLEAN\n"), "{service}, TRIBUTARY_SEED={seed}\n{found}");
    }
}

/// Prints what was found, and `CLEAN` at the end where that is nothing.
const PROGRAM: &str = r#"
import os, sys, tempfile
from click.testing import CliRunner
from schemathesis.cli import schemathesis
document, token, seed, examples = sys.argv[1:]
# It keeps notes where it is started.
os.chdir(tempfile.mkdtemp(prefix="tributary-schemathesis-"))
run = CliRunner().invoke(schemathesis, [
    "run", document, "--header", token, "--header", "x-consumer-username:operator", "--seed", seed, "--max-examples", examples,
    "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    "--phases", "coverage,fuzzing", "--workers", "1", "--continue-on-failure", "--no-shrink", "--no-color",
    "--generation-database", "none", "--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off",
])
print(run.output)
if run.exception is not None and not isinstance(run.exception, SystemExit):
    raise run.exception
if run.exit_code == 0:
    print("CLEAN")
"#;
