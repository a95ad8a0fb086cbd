//! The fields that conditions can ask for.

use std::fmt;

/// Whom a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A sale and its seller: what selects a rule.
    Sale,
    /// Somebody who might take what a rule pays.
    Beneficiary,
}

/// What values a field has, and so which operators it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An exact decimal.
    Number,
    /// A text; without an order.
    Text,
    /// A rank of the ladder, ordered by its place.
    Rank,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $scope:ident, $kind:ident;)+) => {
        /// What a condition can ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Field {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in plan files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whom it is about.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)+ }
            }

            /// What values it has.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }
        }
    };
}

fields! {
    /// The sale's commissionable value.
    SaleAmount = "sale.amount", Sale, Number;
    /// The sale's volume.
    SaleVolume = "sale.volume", Sale, Number;
    /// The line's commissionable value; of a sale without lines, the sale's.
    SaleLineAmount = "sale.line_amount", Sale, Number;
    /// The line's volume; of a sale without lines, the sale's.
    SaleLineVolume = "sale.line_volume", Sale, Number;
    /// The line's quantity; absent of a sale without lines.
    SaleQuantity = "sale.quantity", Sale, Number;
    /// The currency.
    SaleCurrency = "sale.currency", Sale, Text;
    /// `PRODUCT` or `INVESTMENT`.
    SaleSourceType = "sale.source_type", Sale, Text;
    /// The line's product; of a sale without lines, the sale's, which may be absent.
    SaleProductId = "sale.product_id", Sale, Text;
    /// The line's category; may be absent.
    SaleCategory = "sale.category", Sale, Text;
    /// `STANDARD`, `ENROLMENT` or `SUBSCRIPTION`.
    SaleOrderKind = "sale.order_kind", Sale, Text;
    /// The market; may be absent.
    SaleMarket = "sale.market", Sale, Text;
    /// `MEMBER` or `CUSTOMER`; may be absent.
    SaleBuyerType = "sale.buyer_type", Sale, Text;
    /// The seller's status at the sale.
    SellerStatus = "seller.status", Sale, Text;
    /// The seller's rank at the sale.
    SellerRank = "seller.rank", Sale, Rank;
    /// Whole 24-hour days from the seller's joining to the sale; 0 before joining.
    SellerDaysSinceJoining = "seller.days_since_joining", Sale, Number;
    /// The beneficiary's rank at the sale.
    BeneficiaryRank = "beneficiary.rank", Beneficiary, Rank;
    /// Whole 24-hour days from the beneficiary's joining to the sale; 0 before joining.
    BeneficiaryDaysSinceJoining = "beneficiary.days_since_joining", Beneficiary, Number;
    /// The level that the beneficiary would take; 0 is the seller.
    BeneficiaryLevel = "beneficiary.level", Beneficiary, Number;
    /// How far above the seller the beneficiary stands; 0 is the seller.
    BeneficiaryDepth = "beneficiary.depth", Beneficiary, Number;
}

impl Field {
    /// Whether it needs to be known when somebody joined.
    #[must_use]
    pub fn is_days_since_joining(self) -> bool {
        matches!(self, Self::SellerDaysSinceJoining | Self::BeneficiaryDaysSinceJoining)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Kind {
    /// The operators that fit, separated by blanks.
    #[must_use]
    pub fn operators(self) -> &'static str {
        match self {
            Self::Number | Self::Rank => "= != < <= > >= in not_in between",
            Self::Text => "= != in not_in",
        }
    }
}
