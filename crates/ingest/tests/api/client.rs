//! A client with a key, and sales to post.

use reqwest::{Client, Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::keys::Scope;
use store::testing::{Process, World};

pub(crate) const SELLER: &str = "01920000-0000-7000-8000-000000000001";

pub(crate) struct Api {
    pub(crate) world: World,
    pub(crate) ingest: Process,
    key: String,
    http: Client,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let world = World::new().await;
        let ingest = world.ingest(arguments);
        let key = world.key(&Scope::ALL).await;
        Self { world, ingest, key, http: Client::new() }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.ingest.url)).bearer_auth(&self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::PATCH, path).body(body.to_string())).await
    }

    /// Enrols a member of a small number under another one, or as the top of a tree.
    pub(crate) async fn enrol(&self, number: u8, sponsor: Option<u8>) {
        let body = json!({"id": member(number), "sponsor_id": sponsor.map(member)});
        let (status, answer) = self.post("/v1/members", &body).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// How the key stands on record.
    pub(crate) fn actor(&self) -> String {
        format!("key:{}", self.key.split('_').nth(1).unwrap())
    }

    /// Everything that members' present and history consist of, as one value to compare.
    pub(crate) async fn network(&self) -> String {
        let query = "select concat_ws(';', \
            (select string_agg(m::text, ';' order by id) from members m), \
            (select string_agg(p::text, ';' order by p) from member_tree_paths p), \
            (select string_agg(s::text, ';' order by s) from member_sponsors s), \
            (select string_agg(s::text, ';' order by s) from member_states s), \
            (select string_agg(s::text, ';' order by s) from member_reward_splits s))";
        sqlx::query_scalar(query).fetch_one(&self.world.owner).await.unwrap()
    }

    /// Posts a body that need not be JSON.
    pub(crate) async fn post_raw(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        answer(self.request(Method::POST, path).body(body)).await
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.world.owner).await.unwrap()
    }

    pub(crate) fn database_url(&self) -> String {
        self.world.database_url().expose_secret().to_owned()
    }

    pub(crate) async fn events(&self) -> i64 {
        self.count("select count(*) from events").await
    }
}

/// Status and body; every error must be a problem document.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null);
    if status >= 400 {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status} {body}");
        assert_eq!(body["status"], status);
        let text = body.to_string().to_lowercase();
        assert!(!text.contains("select ") && !text.contains("relation"), "SQL shows: {body}");
    }
    (status, body)
}

/// The id of the member of a small number.
pub(crate) fn member(number: u8) -> String {
    format!("01920000-0000-7000-8000-0000000000{number:02x}")
}

pub(crate) fn sale(id: &str) -> Value {
    json!({
        "type": "SALE", "source": "shop-eu", "id": id, "member_id": SELLER, "amount": "199.90",
        "currency": "EUR", "occurred_at": "2026-11-03T10:15:00Z",
    })
}

/// The sale with a field replaced, or removed by `null`.
pub(crate) fn sale_with(id: &str, field: &str, value: Value) -> Value {
    let mut sale = sale(id);
    let fields = sale.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
    sale
}
