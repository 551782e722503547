//! What the tests stand on: a directory with the executable, a scripted server, and a view into the warehouse.

pub(crate) mod api;
pub(crate) mod books;
pub(crate) mod duck;
pub(crate) mod env;
pub(crate) mod http;
pub(crate) mod number;
pub(crate) mod pocketbase;
pub(crate) mod random;
pub(crate) mod server;

pub(crate) use api::Api;
pub(crate) use duck::Warehouse;
pub(crate) use env::{Outcome, TestEnv};
pub(crate) use server::{Reply, Request, Server};

/// A pipeline named `api` that loads from a server, with quick retries; the resources follow.
pub(crate) fn pipeline(server: &Server, resources: &str) -> String {
    pipeline_with_client(server, "", resources)
}

/// As [`pipeline`], with further keys of `[client]`.
pub(crate) fn pipeline_with_client(server: &Server, client: &str, resources: &str) -> String {
    format!(
        "name = \"api\"\n\n[client]\nbase_url = \"{}\"\n\
         retry = {{ max_attempts = 3, base_delay = \"10ms\", max_delay = \"50ms\" }}\n{client}\n{resources}\n",
        server.url("/")
    )
}
