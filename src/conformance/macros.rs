//! The macros that turn the list of [`cases`](super::cases) into tests.

/// Makes one test of each case. The documentation of the [module](crate::conformance) shows how to call it.
#[macro_export]
macro_rules! conformance_tests {
    (
        #[$($attribute:tt)*] ($($argument:ident: $type:ty),* $(,)?) => $adapter:expr
        $(, groups: $groups:tt)? $(,)?
    ) => {
        $crate::__conformance_tests! {
            @groups (attribute [$($attribute)*] [$($argument: $type),*] [$adapter]) $($groups)?
        }
    };
    ($adapter:expr $(, groups: $groups:tt)? $(,)?) => {
        $crate::__conformance_tests! { @groups (plain [$adapter]) $($groups)? }
    };
}

/// Resolves the groups, and writes the test of each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (@groups $test:tt) => {
        $crate::__conformance_cases! { @required $test }
    };
    (@groups $test:tt all) => {
        $crate::__conformance_cases! { @required $test }
        $crate::__conformance_cases! { @all $test }
    };
    (@groups $test:tt [$($group:ident),* $(,)?]) => {
        $crate::__conformance_cases! { @required $test }
        $( $crate::__conformance_cases! { $group $test } )*
    };
    (@groups $test:tt $groups:tt) => {
        ::std::compile_error!("write `groups: [first_group, second_group]` or `groups: all`");
    };
    ($test:tt $($module:ident { $( $(#[doc = $promise:literal])+ $case:ident )* })*) => {
        $(
            mod $module {
                #[allow(unused_imports)]
                use super::*;

                $( $crate::__conformance_tests! { @test $test $module $case } )*
            }
        )*
    };
    (@test (plain [$adapter:expr]) $module:ident $case:ident) => {
        #[test]
        fn $case() {
            $crate::conformance::run(async {
                $crate::conformance::cases::$module::$case(::std::sync::Arc::new($adapter)).await;
            });
        }
    };
    (
        @test (attribute [$($attribute:tt)*] [$($argument:ident: $type:ty),*] [$adapter:expr])
        $module:ident $case:ident
    ) => {
        #[$($attribute)*]
        async fn $case($($argument: $type),*) {
            $crate::conformance::cases::$module::$case(::std::sync::Arc::new($adapter)).await;
        }
    };
}

/// Declares the cases: writes [`GROUPS`](super::GROUPS), a public function for each case, which prints its promise if it
/// fails, and the macro that knows all of them. The first token is a `$`, because a macro cannot write a `$` into
/// another macro.
macro_rules! declare_cases {
    (
        $d:tt
        required { $($required:ident { $($required_cases:tt)* })* }
        $(
            $(#[doc = $methods:literal])+
            $group:ident { $($module:ident { $($cases:tt)* })* }
        )*
    ) => {
        /// The groups that `groups: [...]` can name in [`conformance_tests`](crate::conformance_tests).
        ///
        /// | group | methods |
        /// |---|---|
        $( #[doc = ::std::concat!("| `", ::std::stringify!($group), "` |", $($methods),+, " |")] )*
        pub const GROUPS: &[&str] = &[$(::std::stringify!($group)),*];

        $( declare_cases! { @module $required $($required_cases)* } )*
        $($( declare_cases! { @module $module $($cases)* } )*)*

        #[doc(hidden)]
        #[macro_export]
        macro_rules! __conformance_cases {
            (@required $d test:tt) => {
                $crate::__conformance_tests! { $d test $($required { $($required_cases)* })* }
            };
            (@all $d test:tt) => {
                $( $crate::__conformance_cases! { $group $d test } )*
            };
            $(
                ($group $d test:tt) => {
                    $crate::__conformance_tests! { $d test $($module { $($cases)* })* }
                };
            )*
            ($d unknown:ident $d test:tt) => {
                ::std::compile_error!(::std::concat!(
                    "unknown conformance group `", ::std::stringify!($d unknown), "`: expected ",
                    $( "`", ::std::stringify!($group), "`, ", )*
                    "or `groups: all`",
                ));
            };
        }
    };
    (@module $module:ident $( $(#[doc = $promise:literal])+ $case:ident )*) => {
        #[doc = ::std::concat!("Cases of `", ::std::stringify!($module), "`.")]
        pub mod $module {
            use super::{Adapter, Promise};

            $(
                $(#[doc = $promise])+
                pub async fn $case(adapter: Adapter) {
                    let _promise = Promise(::std::concat!($($promise),+));
                    super::super::$module::$case(adapter).await;
                }
            )*
        }
    };
}
pub(super) use declare_cases;
