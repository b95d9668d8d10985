use super::*;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Settings::parse(text, environment).map_err(|e| format!("{e:#}"))
}

#[test]
fn errors_name_the_key() {
    for (text, expected) in [
        ("lisen = \"127.0.0.1:1\"", "lisen"),
        ("listen = \"nowhere\"", "configuration key listen"),
        ("[tls]\ncertificate = \"x\"", "certificate"),
        ("[tls]\ncert = \"x\"", "cert and key belong together"),
        ("[log]\nformat = \"xml\"", "configuration key log.format"),
        ("[streams]\nport = \"1-2\"", "port"),
        ("[streams]\nports = \"16000-15000\"", "configuration key streams.ports: bad port range"),
        ("[streams]\nports = \"15000\"", "configuration key streams.ports: bad port range"),
        ("[streams]\nhosts = [\"a\", \"b:1\"]", "configuration key streams.hosts[1]"),
    ] {
        let error = parse(text, &[]).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[streams]\nrecord = true\nlatency_ms = 500\n";
    let environment = [
        ("STRATA_CONTROL_LISTEN", "127.0.0.1:2"),
        ("STRATA_CONTROL_STREAMS__RECORD", "false"),
        ("STRATA_CONTROL_STREAMS__PORTS", "20000-20010"),
        ("STRATA_CONTROL_STREAMS__HOSTS", "[\"a.example.com\"]"),
        ("STRATA_CONTROL_LOG__FILTER", "debug"),
        ("STRATA_CONTROL_CONFIG", "elsewhere.toml"),
        ("HOME", "/root"),
    ];
    let settings = parse(file, &environment).unwrap();
    assert_eq!(settings.own.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(settings.own.log.filter, "debug");
    let streams = settings.server.streams;
    assert_eq!((streams.record, streams.latency_ms, streams.ports), (false, 500, 20_000..=20_010));
    assert_eq!(streams.hosts, ["a.example.com"]);

    let error = parse("", &[("STRATA_CONTROL_STREAMS__RECRD", "true")]).unwrap_err();
    assert!(error.contains("recrd"), "{error}");
}
