//! What a sale carries besides its totals, as events show it.

use domain::amount::Amount;
use domain::sale::{BuyerType, SaleLine};
use serde::Serialize;
use serde_json::{Map, Value};
use store::StoreError;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Who bought.
#[derive(Serialize, ToSchema)]
pub(crate) struct BuyerView {
    #[serde(rename = "type")]
    #[schema(example = "CUSTOMER")]
    kind: &'static str,
    /// The buyer by the shop's own id, unless it was left out or erased.
    #[schema(example = "C-17")]
    id: Option<String>,
}

impl BuyerView {
    pub(super) fn new(kind: BuyerType, id: Option<String>) -> Self {
        Self { kind: kind.name(), id }
    }
}

/// One position of the order.
#[derive(Serialize, ToSchema)]
pub(crate) struct SaleLineView {
    #[schema(example = "1")]
    id: String,
    #[schema(example = "SKU-7")]
    product_id: String,
    #[schema(example = "tea")]
    category: Option<String>,
    #[schema(value_type = String, example = "2.0000")]
    quantity: Amount,
    #[schema(value_type = String, example = "60.0000")]
    amount: Amount,
    #[schema(value_type = String, example = "50.0000")]
    volume: Amount,
}

impl From<SaleLine> for SaleLineView {
    fn from(line: SaleLine) -> Self {
        let SaleLine { id, product_id, category, quantity, amount, volume } = line;
        Self { id, product_id, category, quantity, amount, volume }
    }
}

/// A kept object as JSON again.
pub(super) fn kept(text: Option<String>) -> Result<Option<Map<String, Value>>, Problem> {
    let object = text.map(|text| serde_json::from_str(&text)).transpose();
    object.map_err(|error| StoreError::Damaged(format!("a kept object: {error}")).into())
}
