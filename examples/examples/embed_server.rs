//! A control plane inside somebody else's axum application: routes of your own beside `/api` and
//! `/agent/ws`, your own code hearing what devices do.
//!
//! ```sh
//! ADMIN_PASSWORD='a long one' cargo run -p strata-examples --example embed_server -- ./embed-data
//! curl --cacert ./embed-data/tls/ca.crt https://localhost:8443/my/senders
//! ```
//!
//! A second argument is the address to listen at, `127.0.0.1:8443` when absent; its port 0 takes a free one.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use strata_proto::control::{Role, SenderView, Topic};
use strata_proto::token::Secret;
use strata_server::event::{Delivery, Room};
use strata_server::fleet::{NewUser, Scope};
use strata_server::tls::{self, Identity, ServeLimits};
use strata_server::{Config, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let data_dir = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("embed-data"), PathBuf::from);
    let listen = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:8443".to_owned());
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    #[expect(clippy::disallowed_methods, reason = "the program reads the clock, the library is told")]
    let now = SystemTime::now().into();
    let identity = Identity::from_own_ca(&data_dir.join("tls"), &names, now)?;

    // Where agents and people find it is known once it has its port.
    let listener = TcpListener::bind(&listen).await.with_context(|| listen.clone())?;
    let address = listener.local_addr()?;
    let public_url = format!("https://localhost:{}", address.port()).parse()?;

    // The control plane: a handle to use, a driver to run wherever you like.
    let config = Config { data_dir, public_url, ca: identity.ca(), ..Config::default() };
    let (server, driver) = Server::load(config).await?;
    tokio::spawn(driver.run());
    first_user(&server).await?;
    tokio::spawn(hear(server.clone()));

    // Your application: its own routes and state, and the control plane's merged in.
    let mine = Router::new().route("/my/senders", get(senders)).with_state(server.clone());
    let app = mine.merge(server.router());

    println!("listening https://{address}");
    let (_renewals, tls) = watch::channel(identity.server_config()?);
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    tls::Server::new(listener, tls, app, ServeLimits::default()).run(stop).await;
    server.shutdown().await;
    Ok(())
}

/// The library's functions are there for your handlers too; your own login decides who may call.
async fn senders(State(server): State<Server>) -> Json<Vec<SenderView>> {
    Json(server.fleet().senders(&Scope::All).await.unwrap_or_default())
}

/// Everything that happens arrives as a JSON text, as dashboards get it on `/api/ws`.
async fn hear(server: Server) {
    let mut subscriber = server.events().subscriber(Scope::All, Room::default());
    subscriber.subscribe(Topic::AllSenders);
    subscriber.subscribe(Topic::AllStreams);
    loop {
        match subscriber.next().await {
            Delivery::Event(text) => println!("{}", String::from_utf8_lossy(&text)),
            Delivery::Lagged { missed } => println!("{missed} events were missed"),
            _ => {}
        }
    }
}

async fn first_user(server: &Server) -> anyhow::Result<()> {
    if server.users().is_empty().await? {
        let password = std::env::var("ADMIN_PASSWORD").context("set ADMIN_PASSWORD at the first start")?;
        let email = "admin@example.com".to_owned();
        let user = NewUser { email, password: Secret::new(password), role: Role::Admin, account: None };
        server.users().create(user).await?;
    }
    Ok(())
}
