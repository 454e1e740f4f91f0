//! The memory adapter keeps every promise; an adapter without the provided methods can keep all that are asked of it.

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{AuthResult, async_trait};

better_auth::conformance_tests!(MemoryDatabaseAdapter::new(), groups: all);

/// With keys that hash the values of verifications.
mod keyed {
    use better_auth::adapters::{MemoryDatabaseAdapter, VerificationKeys};

    fn keyed() -> MemoryDatabaseAdapter {
        let keys = VerificationKeys::new([1; 32]).with_previous([2; 32]);
        MemoryDatabaseAdapter::new()
            .verification_keys(keys)
            .unwrap()
    }

    better_auth::conformance_tests!(keyed(), groups: all);
}

/// An adapter that has what is required and nothing else.
struct RequiredOnly(MemoryDatabaseAdapter);

macro_rules! required_only {
    (
        required { $($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)* }
        provided { $($provided:tt)* }
        stores { $($stores:tt)* }
    ) => {
        #[async_trait]
        impl DatabaseAdapter for RequiredOnly {
            $(
                async fn $method(&self $(, $argument: $type)*) -> AuthResult<$output> {
                    self.0.$method($($argument),*).await
                }
            )*
        }
    };
}
better_auth::with_database_adapter_methods!(required_only {});

mod required_only {
    use super::{MemoryDatabaseAdapter, RequiredOnly};

    better_auth::conformance_tests!(RequiredOnly(MemoryDatabaseAdapter::new()));
}
