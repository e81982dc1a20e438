//! `docker-compose.yml`, the `Dockerfile` and what they mount agree with the code, checked without an engine.
//!
//! `compose/compose-spec.json` is the compose specification's own schema (compose-spec project, Apache-2.0,
//! `compose/LICENSE.compose-spec`).

mod files;

use std::collections::{BTreeMap, BTreeSet};

use kit::config::Vars;
use serde_json::Value;

use files::{Compose, names, read, strings};

const SERVICES: [&str; 4] = ["inventory", "ecommerce", "retail", "reporting"];

#[test]
fn the_file_fits_the_compose_specification() {
    let schema: Value = serde_json::from_str(include_str!("compose/compose-spec.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let compose = Compose::load();
    let faults: Vec<String> =
        validator.iter_errors(&compose.value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_service_is_given_what_its_config_wants_and_nothing_it_does_not_know() {
    let compose = Compose::load();
    let vars = |service: &str| Vars::from_map(&format!("{}_", service.to_uppercase()), compose.environment(service));
    let listens = [
        inventory::Config::read(vars("inventory")).unwrap().service.listen,
        ecommerce::Config::read(vars("ecommerce")).unwrap().service.listen,
        retail::Config::read(vars("retail")).unwrap().service.listen,
        reporting::Config::read(vars("reporting")).unwrap().service.listen,
    ];
    for (service, listen) in SERVICES.into_iter().zip(listens) {
        assert!(listen.ip().is_unspecified(), "{service} must be reached from other containers");
        let prefix = format!("{}_", service.to_uppercase());
        let foreign: Vec<_> =
            compose.environment(service).into_keys().filter(|name| !name.starts_with(&prefix)).collect();
        assert!(foreign.is_empty(), "{service}: {foreign:?}");
    }
    let reporting = reporting::Config::read(vars("reporting")).unwrap();
    assert!(reporting.webhook_secret.is_some() && reporting.alert_url.is_none(), "alerts go where the operator says");
    // Compose kills what takes longer than its grace.
    let config = inventory::Config::read(vars("inventory")).unwrap().service;
    for service in SERVICES {
        let grace = compose.service(service)["stop_grace_period"].as_str().unwrap();
        assert!(grace.trim_end_matches('s').parse::<u64>().unwrap() > config.drain.as_secs(), "{service}: {grace}");
    }
}

#[test]
fn what_must_agree_is_given_to_both_sides() {
    let compose = Compose::load();
    let secrets = compose.environment("kong-config");
    for service in SERVICES {
        let prefix = service.to_uppercase();
        let env = compose.environment(service);
        assert_eq!(env[&format!("{prefix}_GATEWAY_TOKEN")], secrets[&format!("TRIBUTARY_GATEWAY_TOKEN_{prefix}")]);

        let database = compose.environment(&format!("{service}-db"));
        assert_eq!(database["SERVICE"], service);
        let url = |user: &str, password: &str| format!("postgres://{user}:{password}@{service}-db:5432/{service}_db");
        assert_eq!(env[&format!("{prefix}_DATABASE_URL")], url(service, &database["SERVICE_PASSWORD"]));
        assert_eq!(env[&format!("{prefix}_OWNER_URL")], url(&format!("{service}_owner"), &database["OWNER_PASSWORD"]));
        assert_ne!(database["SERVICE_PASSWORD"], database["OWNER_PASSWORD"]);
    }
    for (service, key) in
        [("ecommerce", "SERVICE_ECOMMERCE"), ("retail", "SERVICE_RETAIL"), ("reporting", "AGGREGATOR")]
    {
        let env = compose.environment(service);
        let prefix = service.to_uppercase();
        assert_eq!(env[&format!("{prefix}_GATEWAY_KEY")], secrets[&format!("TRIBUTARY_KEY_{key}")], "{service}");
        assert_eq!(env[&format!("{prefix}_GATEWAY_URL")], "http://kong:8000", "{service}");
    }
    let reader = &compose.environment("reporting-db")["READER_PASSWORD"];
    assert_eq!(reader, &compose.environment("grafana")["GRAFANA_READER_PASSWORD"]);
}

#[test]
fn kong_reads_our_file_and_reaches_the_services_where_they_listen() {
    let compose = Compose::load();
    let values = compose.environment("kong-config");
    let wanted: BTreeSet<String> = stack::render::placeholders(gateway::TEMPLATE).into_iter().collect();
    assert_eq!(values.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    gateway::check(&stack::render::render(gateway::TEMPLATE, &values).unwrap()).unwrap();
    let mut taken = BTreeSet::new();
    for service in SERVICES {
        let prefix = service.to_uppercase();
        let listen = &compose.environment(service)[&format!("{prefix}_LISTEN")];
        let port = listen.rsplit_once(':').unwrap().1;
        // An address and not a name, which Kong would ask for only now and then.
        let target = &values[&format!("TRIBUTARY_TARGET_{prefix}")];
        let address = compose.service(service)["networks"]["private"]["ipv4_address"].as_str().unwrap();
        assert_eq!(target, &format!("{address}:{port}"));
        assert!(taken.insert(address.to_owned()), "{service}: {address} is another's");
        let config = &compose.value["networks"]["private"]["ipam"]["config"][0];
        let network = |text: &Value| text.as_str().unwrap().rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(network(&config["subnet"]), address.rsplit_once('.').unwrap().0);
        // Whoever has no address of its own takes one from there.
        assert!(config["ip_range"].as_str().unwrap().ends_with(".128/25"), "{config}");
        assert!(address.rsplit_once('.').unwrap().1.parse::<u8>().unwrap() < 128, "{address}");
        assert!(compose.networks(service).contains("private"));
    }
    let kong = compose.environment("kong");
    assert_eq!((kong["KONG_DATABASE"].as_str(), kong["KONG_DECLARATIVE_CONFIG"].as_str()), ("off", "/config/kong.yml"));
    assert_eq!(kong["KONG_ROUTER_FLAVOR"], "traditional_compatible", "routes with named groups are written for it");
    assert!(kong["KONG_ADMIN_LISTEN"].starts_with("127.0.0.1:"), "the admin API can rewrite every route");
    // Whole or not at all: what Kong has stays until another is rendered.
    let command = strings(&compose.service("kong-config")["entrypoint"]).pop().unwrap();
    assert!(command.ends_with("kong-config > /config/draft && mv /config/draft /config/kong.yml"), "{command}");
    for service in ["kong", "kong-config"] {
        let mounts = strings(&compose.service(service)["volumes"]);
        assert!(mounts.iter().any(|mount| mount.starts_with("kong-config:/config")), "{service}: {mounts:?}");
    }
    assert!(compose.networks("kong").contains("private"));
}

#[test]
fn logs_hold_no_values_and_an_address_may_ask_more_than_any_consumer() {
    let compose = Compose::load();
    for service in SERVICES {
        let command = strings(&compose.service(&format!("{service}-db"))["command"]);
        assert!(command.contains(&"-clog_error_verbosity=terse".to_owned()), "{service}: {command:?}");
    }
    let kong = compose.environment("kong");
    let format = &kong["KONG_NGINX_HTTP_LOG_FORMAT"];
    assert!(format.starts_with("paths '") && format.contains("$uri ") && !format.contains("request_uri"), "{format}");
    assert!(!format.contains("$request ") && !format.contains("$args"), "{format}");
    assert!(kong["KONG_PROXY_ACCESS_LOG"].ends_with(" paths"));
    let zone = kong["KONG_NGINX_HTTP_LIMIT_REQ_ZONE"].split_once("rate=").unwrap().1;
    let address: i64 = zone.trim_end_matches("r/s").parse().unwrap();
    let file: Value = serde_saphyr::from_str(gateway::TEMPLATE).unwrap();
    for plugin in file["plugins"].as_array().unwrap().iter().filter(|plugin| plugin["name"] == "rate-limiting") {
        assert!(plugin["config"]["second"].as_i64().unwrap() < address, "{plugin}");
    }
}

#[test]
fn the_command_that_compose_runs_writes_what_kong_reads() {
    let compose = Compose::load();
    let render = |env: BTreeMap<String, String>| {
        let stack = system_tests::binaries::program("stack");
        std::process::Command::new(stack).arg("kong-config").env_clear().envs(env).output().unwrap()
    };
    let mut env = compose.environment("kong-config");
    let output = render(env.clone());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    gateway::check(&text).unwrap();
    assert!(text.contains("{ target: \"172.31.240.13:8080\" }") && text.contains(&env["TRIBUTARY_KEY_POS"]));

    env.remove("TRIBUTARY_KEY_POS");
    let output = render(env);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "half a file must not look like one");
    assert!(String::from_utf8_lossy(&output.stderr).contains("TRIBUTARY_KEY_POS"));
}

#[test]
fn only_the_gateway_and_grafana_can_be_reached() {
    let compose = Compose::load();
    let published: Vec<String> =
        compose.names().into_iter().filter(|name| !compose.service(name)["ports"].is_null()).collect();
    assert_eq!(published, ["kong", "grafana"]);
    assert_eq!(strings(&compose.service("kong")["ports"]), ["8000:8000"]);
    assert!(compose.environment("kong")["KONG_PROXY_LISTEN"].ends_with(":8000"));
    for name in compose.names() {
        let outside =
            compose.networks(&name).iter().any(|network| compose.value["networks"][network]["internal"] != true);
        assert_eq!(outside, ["kong", "grafana"].contains(&name.as_str()), "{name} and the outside");
    }
    // The rule that a database belongs to one service, kept by the network. Grafana reads published reports.
    for service in SERVICES {
        let network = format!("{service}-data");
        let on_it: Vec<String> =
            compose.names().into_iter().filter(|name| compose.networks(name).contains(&network)).collect();
        let mut want = vec![format!("{service}-db"), service.to_owned()];
        want.extend((service == "reporting").then(|| "grafana".to_owned()));
        assert_eq!(on_it, want);
        assert_eq!(compose.networks(&format!("{service}-db")), BTreeSet::from([network]));
    }
}

#[test]
fn everything_that_stays_up_is_watched_restarted_bounded_and_started_in_order() {
    let compose = Compose::load();
    for name in compose.names() {
        let service = compose.service(&name);
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name}: {limits}");
        let one_shot = name == "kong-config";
        assert_eq!(service["restart"], if one_shot { "no" } else { "unless-stopped" }, "{name}");
        assert_eq!(service["healthcheck"].is_null(), one_shot, "{name}");
        let image = service["image"].as_str().unwrap();
        match name.as_str() {
            "kong" => assert_eq!(image, "kong:3.9"),
            _ if name.ends_with("-db") => assert_eq!(image, "postgres:17"),
            _ => assert!(image.starts_with("tributary/") || image.contains(':'), "{name} has no version: {image}"),
        }
        let monitoring = ["grafana", "prometheus"].contains(&name.as_str());
        assert_eq!(strings(&service["profiles"]) == ["monitoring"], monitoring, "{name}");
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let want = if other == "kong-config" { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(how["condition"], want, "{name} after {other}");
        }
    }
    let after = |name: &str| names(&compose.service(name)["depends_on"]);
    for service in SERVICES {
        assert_eq!(after(service), [format!("{service}-db")]);
        assert!(after("kong").contains(&service.to_owned()));
    }
    assert!(after("kong").contains(&"kong-config".to_owned()));
}

#[test]
fn health_is_asked_where_the_services_answer() {
    let compose = Compose::load();
    for service in SERVICES {
        let test = strings(&compose.service(service)["healthcheck"]["test"]).join(" ");
        let listen = &compose.environment(service)[&format!("{}_LISTEN", service.to_uppercase())];
        let port = listen.rsplit_once(':').unwrap().1;
        assert!(test.contains(&format!("/dev/tcp/127.0.0.1/{port} ")), "{service}: {test}");
        assert!(test.contains("GET /health/ready "), "{service}: {test}");
    }
    let kong: Value = serde_saphyr::from_str(gateway::TEMPLATE).unwrap();
    for upstream in kong["upstreams"].as_array().unwrap() {
        let service = upstream["name"].as_str().unwrap().trim_end_matches(".upstream");
        assert_eq!(upstream["healthchecks"]["active"]["http_path"], format!("/health/live/{service}"));
    }
    let prometheus: Value = serde_saphyr::from_str(&read(".compose/prometheus.yml")).unwrap();
    let jobs = prometheus["scrape_configs"].as_array().unwrap();
    let targets: Vec<String> = jobs.iter().flat_map(|job| strings(&job["static_configs"][0]["targets"])).collect();
    assert_eq!(targets, ["inventory:8080", "ecommerce:8080", "retail:8080", "reporting:8080", "kong:8100"]);
    assert!(compose.environment("kong")["KONG_STATUS_LISTEN"].ends_with(":8100"));
}

#[test]
fn every_file_and_volume_that_is_mounted_exists() {
    let compose = Compose::load();
    let volumes: BTreeSet<String> = names(&compose.value["volumes"]).into_iter().collect();
    let mut used = BTreeSet::new();
    for name in compose.names() {
        for mount in strings(&compose.service(&name)["volumes"]) {
            let source = mount.split(':').next().unwrap().to_owned();
            match source.strip_prefix("./") {
                Some(path) => assert!(files::root().join(path).exists(), "{name} mounts {path}"),
                None => {
                    used.insert(source);
                }
            }
        }
    }
    assert_eq!(used, volumes);
    let env = compose.environment("reporting");
    let mounts = strings(&compose.service("reporting")["volumes"]).join(" ");
    for folder in ["LAKE", "EXPORTS", "SPOOL"] {
        let path = &env[&format!("REPORTING_{folder}_DIR")];
        assert!(mounts.contains(&format!(":{path}")), "{path} would be lost with its container");
        assert!(read("Dockerfile").contains(path), "{path} must belong to the image's user");
    }
}

#[test]
fn the_example_names_every_variable_and_gives_no_secret() {
    let compose = read("docker-compose.yml");
    let example = read(".env.example");
    let given: BTreeMap<&str, &str> =
        example.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let mut asked = files::variables(&compose);
    // What may be left out stands as a comment: the line above that fills in secrets must not fill it in.
    let replicas = SERVICES.map(|service| format!("TRIBUTARY_REPLICAS_{}", service.to_uppercase()));
    for name in ["TRIBUTARY_ALERT_URL", "TRIBUTARY_JOBS"].into_iter().chain(replicas.iter().map(String::as_str)) {
        assert_eq!(asked.remove(name), Some(Some(String::new())), "{name}");
        assert!(example.contains(&format!("\n# {name}=")), "{name}");
    }
    assert_eq!(given.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), asked.keys().cloned().collect());
    for (name, default) in asked {
        // A secret has no default anywhere, and compose refuses to start without one.
        let secret = ["PASSWORD", "TOKEN", "SECRET", "_KEY_"].iter().any(|part| name.contains(part));
        assert_eq!(default.is_none(), secret, "{name}");
        assert_eq!(given[name.as_str()].is_empty(), secret, "{name}");
        if let Some(default) = default {
            assert_eq!(given[name.as_str()], default, "{name}");
        }
    }
}

#[test]
fn the_roles_have_the_rights_that_the_stack_gives() {
    let script = read(".compose/roles.sh");
    for database in stack::databases::DATABASES {
        let given = files::grants(
            &script,
            database.service,
            &database.readers.iter().map(|r| (r.role, r.schema)).collect::<Vec<_>>(),
        );
        let wanted = files::statements(&stack::roles::grants(database));
        assert_eq!(given, wanted, "{}", database.name);
    }
}

#[test]
fn the_dockerfile_knows_every_crate_and_program_and_runs_as_nobody_special() {
    let dockerfile = read("Dockerfile");
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        assert!(
            dockerfile.contains(&format!("COPY {member}/Cargo.toml {member}/\n")),
            "{member} is not in the dependency layer"
        );
    }
    let compose = Compose::load();
    let built: BTreeSet<&str> = ["inventory", "ecommerce", "retail", "reporting", "kong-config"]
        .map(|name| compose.service(name)["build"]["args"]["SERVICE"].as_str().unwrap())
        .into();
    assert_eq!(built, BTreeSet::from(["inventory", "ecommerce", "retail", "reporting", "stack"]));
    let programs = dockerfile.lines().filter(|line| line.contains("for service in "));
    for line in programs {
        assert!(built.iter().all(|program| line.contains(program)), "{line}");
    }
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.contains("\nUSER 10001\n") && last.contains("\nARG SERVICE\n"), "{last}");
    assert!(!last.contains("rust"), "the image is only the program");
    let version = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "{version}");
}
