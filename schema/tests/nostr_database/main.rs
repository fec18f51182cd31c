//! The `NostrDatabase` contract: one suite of behaviours, run against Postgres and against
//! rust-nostr's own in-memory database, so that each judges the other. Where they differ, the
//! behaviour says how and why.

#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not get fails it"
)]

mod asking;
mod deleting;
mod hostile;
mod housekeeping;
mod model;
mod property;
mod replacing;
mod saving;
mod subject;
mod upgrade;
mod vanishing;

/// Runs each behaviour against both databases.
macro_rules! behaviours {
    ($($module:ident: $($name:ident),+;)+) => {
        mod postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let (subject, _database) = crate::subject::postgres().await;
                    crate::$module::$name(&subject).await;
                })+
            })+
        }

        mod memory {
            $(mod $module {
                $(#[tokio::test]
                async fn $name() {
                    crate::$module::$name(&crate::subject::memory()).await;
                })+
            })+
        }
    };
}

behaviours! {
    saving:
        what_was_saved_is_found_again_unchanged,
        an_event_is_saved_once,
        what_nobody_saved_is_unknown,
        ephemeral_events_are_refused,
        expired_events_are_refused_and_others_kept,
        times_without_an_agreed_id_are_an_error;
    replacing:
        the_newer_version_replaces_the_older,
        on_a_tie_the_lowest_id_stays,
        addresses_are_kind_author_and_d,
        a_missing_d_is_an_empty_one,
        regular_events_stand_side_by_side;
    deleting:
        authors_delete_by_id,
        authors_delete_by_address_up_to_the_time_of_the_deletion,
        a_deletion_counts_before_its_target_arrives,
        an_address_counts_before_its_versions_arrive,
        an_empty_d_is_one_address_among_others,
        a_d_may_have_colons,
        what_a_deleted_version_replaced_stays_away,
        events_of_others_are_safe,
        a_deletion_of_own_and_foreign_events_deletes_the_own,
        a_deletion_cannot_be_deleted,
        an_event_may_be_named_twice,
        gift_wraps_are_deleted_by_whom_they_are_for;
    vanishing:
        everything_up_to_the_request_is_gone_for_good,
        what_others_wrote_and_what_came_later_stays,
        gift_wraps_vanish_with_whom_they_are_for,
        a_request_that_names_another_relay_is_just_kept,
        a_request_that_names_us_works,
        a_request_cannot_be_deleted,
        what_was_deleted_before_vanishing_stays_deleted;
    asking:
        filters_select,
        bounds_of_time_are_inclusive,
        newest_come_first_and_lowest_ids_on_a_tie,
        limits_cut_off_the_oldest,
        empty_sets_are_no_conditions,
        reconciliation_sees_what_a_query_finds,
        searches_are_refused;
    housekeeping:
        what_matches_is_deleted,
        what_was_removed_may_come_back,
        a_wiped_database_remembers_nothing;
}
