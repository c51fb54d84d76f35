//! 0x8204 link check (链路检测): platform -> terminal, answered by 0x0001. Since 2019.
//!
//! The body is empty.

use super::field::{Rest, layout};

layout! {
    /// Are you there?
    #[derive(Default)]
    pub struct LinkCheck {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::{
        Revision,
        message::{MessageId, arbitrary::check},
    };

    #[test]
    fn a_link_check_is_empty() {
        check(MessageId::LINK_CHECK, Revision::V2019, "", &json!({}));
    }
}
