"""Names, label sets and units of what a worker says of itself."""

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from shutil import disk_usage

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.effects import Effect, command, decided
from agents.partition.batch import BatchChanges, BatchCounts
from schemas.commands import SendCommand
from schemas.decisions import Decision
from schemas.stored import Progress
from schemas.tracking import Hit
from streams.clock import VirtualClock
from streams.operate.mail_metrics import MAX_VALUES, OTHER, BoundedLabel, MailMetrics
from streams.operate.metrics import Metrics
from streams.operate.partition_metrics import INCIDENTS, PLAIN
from streams.runtime.state.recovery import Recovered
from streams.runtime.transports import partition_manager

UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info")
# Plain counts of things that are there now, as shared names have them.
COUNTS = {
    "ritorno_timers_pending", "ritorno_retry_queue", "ritorno_smtp_connections",
    "ritorno_partitions_open", "ritorno_smtp_relay_up", "ritorno_mail_held",
    "ritorno_mail_breaker_open", "ritorno_suppressed_addresses",
    "ritorno_http_connections",
    "ritorno_mails_stuck", "ritorno_customers_held_back", "ritorno_partition_open",
    "ritorno_partition_lag", "ritorno_topic_partitions", "ritorno_workflow_runs",
    "ritorno_partition_state_records", "ritorno_ingest_waiting_records",
    "ritorno_ingest_keys_kept", "ritorno_insights_lag",
}  # fmt: skip


def changes(counts: BatchCounts, *effects: Effect) -> BatchChanges:
    return BatchChanges(list(effects), [], Progress(10, 1_772_357_400_000, {}), counts)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def some_command() -> SendCommand:
    return SendCommand.model_validate({
        "id": "s1", "time": "2026-03-01T09:30:00Z", "expires": "2026-03-02T09:30:00Z",
        "customer": "c-1", "email": "zoe@posta.it", "workflow": "w11-welcome", "version": "v",
        "run": "r", "step": "welcome", "class": "marketing", "kind": "informative",
        "template": "welcome", "legal_basis": "consent", "reason": "due",
    })  # fmt: skip


def some_decision() -> Decision:
    return Decision(
        time=1_772_357_400_000, customer="c-1", workflow="w11-welcome", version="v", run="r",
        step="welcome", decision="sent", reason="due",
    )  # fmt: skip


def test_names_have_prefix_and_unit() -> None:
    text = generate_latest(Metrics().registry).decode()
    for family in text_string_to_metric_families(text):
        if family.name.startswith(("process_", "python_")):
            continue
        assert family.name.startswith("ritorno_"), family.name
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name.endswith(UNITS) or name in COUNTS, name
        assert family.documentation.endswith("."), name


def test_a_committed_slice_is_counted() -> None:
    metrics, counts = Metrics(), BatchCounts()
    counts.events["cart.product_added", "applied"] = 3
    counts.refused["invalid_json"] = 2
    counts.ages += [500, 7_000]
    counts.lateness += [800]
    counts.scores["up"] = 3
    metrics.committed(0, changes(counts, command(some_command()), decided(some_decision())))
    events = {"topic": "customer-events", "type": "cart.product_added", "result": "applied"}
    assert value(metrics, "ritorno_events_total", **events) == 3
    letters = {"topic": "customer-events", "reason": "invalid_json"}
    assert value(metrics, "ritorno_dead_letters_total", **letters) == 2
    assert value(metrics, "ritorno_event_age_seconds_sum", stage="decided") == 7.5
    assert value(metrics, "ritorno_event_age_seconds_bucket", stage="decided", le="1.0") == 1
    assert value(metrics, "ritorno_timer_lateness_seconds_sum") == 0.8
    assert value(metrics, "ritorno_score_changes_total", score="engagement", direction="up") == 3
    assert value(metrics, "ritorno_decisions_total", kind="sent", reason="due") == 1
    step = {"workflow": "w11-welcome", "step": "welcome", "result": "sent"}
    assert value(metrics, "ritorno_workflow_transitions_total", **step) == 1
    request = {"class": "marketing", "template": "welcome", "result": "commanded"}
    assert value(metrics, "ritorno_mail_requests_total", **request) == 1
    time = value(metrics, "ritorno_last_event_timestamp_seconds", stage="decided")
    assert time == 1_772_357_400
    assert value(metrics, "ritorno_partition_timestamp_seconds", partition="0") == 1_772_357_400


def test_invented_types_and_reasons_do_not_become_labels() -> None:
    metrics, counts = Metrics(), BatchCounts()
    for number in range(1_000):
        counts.events[f"invented.{number}", "applied"] = 1
        counts.refused[f"invented {number}"] = 1
    metrics.committed(0, changes(counts))
    text = generate_latest(metrics.registry).decode()
    assert "invented" not in text
    unknown = {"topic": "customer-events", "type": "unknown", "result": "applied"}
    assert value(metrics, "ritorno_events_total", **unknown) == 1_000


def test_no_address_and_no_customer_in_any_label() -> None:
    metrics = Metrics()
    metrics.committed(0, changes(BatchCounts(), command(some_command()), decided(some_decision())))
    exercise(metrics.mail)
    text = generate_latest(metrics.registry).decode()
    assert "posta.it" not in text
    assert "c-1" not in text
    assert not re.search(r'="[^"]*@', text)


def exercise(mail: MailMetrics) -> None:
    """Everything a mailer may say, once."""
    mail.request("marketing", "welcome", "queued")
    mail.request("", "", "unreadable")
    mail.outcome("marketing", "google", "sent", "")
    mail.outcome("transactional", "other", "bounced", "hard")
    mail.ambiguous("marketing")
    mail.sent_age("marketing", 2.0)
    mail.waiting(0, "automated", 3)
    mail.waiting(1, "bulk", 4)
    mail.waiting(1, "notify", 2)
    mail.held(0, "paused", 2)
    mail.held(1, "paused", 1)
    mail.breaker(open_=True)
    mail.webhook("retried")
    mail.throttled("relay:25", "google")
    mail.oldest(0, 30.0)
    mail.oldest(1, 90.0)
    mail.rendered("welcome", 0.004)
    mail.reply("relay:25", 250)
    mail.reply("relay:25", 451)
    mail.delivered("relay:25", "google", 0.2)
    mail.pool_wait("relay:25", 0.01)
    mail.connections("relay:25", busy=2, idle=1)
    mail.relay_down("relay:25", "connect")
    mail.relay_up("relay:25")


def test_the_mailer_is_counted() -> None:
    metrics = Metrics()
    exercise(metrics.mail)
    bounced = {
        "class": "transactional", "provider": "other", "outcome": "bounced", "reason": "hard"
    }  # fmt: skip
    assert value(metrics, "ritorno_mail_deliveries_total", **bounced) == 1
    assert value(metrics, "ritorno_retry_queue", **{"class": "marketing"}) == 7
    assert value(metrics, "ritorno_retry_queue", **{"class": "notify"}) == 2
    assert value(metrics, "ritorno_mail_held", reason="paused") == 3
    assert value(metrics, "ritorno_mail_breaker_open") == 1
    webhook = {"source": "notify", "result": "retried"}
    assert value(metrics, "ritorno_webhook_requests_total", **webhook) == 1
    throttled = {"relay": "relay:25", "provider": "google"}
    assert value(metrics, "ritorno_smtp_throttled_total", **throttled) == 1
    assert value(metrics, "ritorno_retry_oldest_seconds") == 90
    assert value(metrics, "ritorno_smtp_replies_total", relay="relay:25", code_class="4xx") == 1
    assert value(metrics, "ritorno_smtp_connections", relay="relay:25", state="busy") == 2
    assert value(metrics, "ritorno_smtp_relay_up", relay="relay:25") == 1
    assert value(metrics, "ritorno_event_age_seconds_sum", stage="sent") == 2
    unread = {"class": "unknown", "template": "unknown", "result": "unreadable"}
    assert value(metrics, "ritorno_mail_requests_total", **unread) == 1


def test_a_relay_that_never_answered_is_down_not_absent() -> None:
    metrics = Metrics()
    metrics.mail.relay_down("relay:25", "tls")
    metrics.mail.connections("relay:25", busy=0, idle=0)
    assert value(metrics, "ritorno_smtp_relay_up", relay="relay:25") == 0
    failures = {
        reason: value(metrics, "ritorno_smtp_relay_failures_total", relay="relay:25", reason=reason)
        for reason in ("connect", "tls", "auth")
    }
    assert failures == {"connect": 0, "tls": 1, "auth": 0}


def test_a_partition_that_is_let_go_no_longer_counts() -> None:
    metrics = Metrics()
    metrics.mail.waiting(0, "automated", 3)
    metrics.mail.waiting(0, "automated", 0)
    assert value(metrics, "ritorno_retry_queue", **{"class": "marketing"}) == 0
    metrics.recovered(0, Recovered(records=5, seconds=0.2))
    metrics.closed(0)
    assert value(metrics, "ritorno_partitions_open") == 0
    assert value(metrics, "ritorno_recovery_records_total") == 5


def test_labels_from_files_are_bounded() -> None:
    label = BoundedLabel()
    seen = {label(f"template-{number}") for number in range(10 * MAX_VALUES)}
    assert len(seen) == MAX_VALUES + 1
    assert label("template-0") == "template-0"
    assert label("one more") == OTHER


@pytest.mark.parametrize("reason", ["log", "fenced", "defect", "anything"])
def test_failures_are_there_before_the_first(reason: str) -> None:
    metrics = Metrics()
    label = reason if reason != "anything" else "defect"
    assert value(metrics, "ritorno_batch_failures_total", reason=label) == 0
    metrics.failed(0, reason)
    assert value(metrics, "ritorno_batch_failures_total", reason=label) == 1


def test_from_append_to_decided_is_counted_by_the_record() -> None:
    now = 1_772_357_400_000
    metrics, counts = Metrics(VirtualClock(now)), BatchCounts()
    # One is of a broker whose clock is ahead.
    counts.append_times.update({now - 7: 3, now - 90_000: 1, now + 50: 1})
    metrics.committed(0, changes(counts))
    name = "ritorno_append_to_decided_seconds"
    assert value(metrics, f"{name}_bucket", le="0.005") == 1
    assert value(metrics, f"{name}_bucket", le="0.01") == 4
    assert value(metrics, f"{name}_bucket", le="60.0") == 4
    assert value(metrics, f"{name}_bucket", le="300.0") == value(metrics, f"{name}_count") == 5
    assert value(metrics, f"{name}_sum") == pytest.approx(90.021)


def test_a_publication_is_when_what_is_live_changes() -> None:
    metrics = Metrics()
    name = "ritorno_publication_timestamp_seconds"
    for time, live in ((1_000, {"w": "1"}), (2_000, {"w": "1"}), (3_000, {"w": "2"})):
        batch = changes(BatchCounts())
        batch.progress = Progress(10, time, live)
        metrics.committed(0, batch)
        assert value(metrics, name) == (3 if live["w"] == "2" else 0)


def test_runs_in_flight_are_read_by_workflow() -> None:
    metrics, runs = Metrics(), Counter({("w11", "waiting"): 2, ("w11", "held"): 1})
    metrics.watch_runs(lambda: runs)
    assert value(metrics, "ritorno_workflow_runs", workflow="w11", state="held") == 1
    runs["w11", "held"] = 0
    assert value(metrics, "ritorno_workflow_runs", workflow="w11", state="held") == 0


def test_timers_are_read_when_somebody_asks() -> None:
    metrics, pending = Metrics(), [1]
    metrics.watch_timers(lambda: pending[0])
    pending[0] = 42
    assert value(metrics, "ritorno_timers_pending") == 42


def test_what_is_set_aside_is_counted_from_zero() -> None:
    metrics = Metrics()
    assert value(metrics, "ritorno_set_aside_total", what="timer") == 0
    metrics.set_aside(0, "timer")
    assert value(metrics, "ritorno_set_aside_total", what="timer") == 1
    metrics.watch_held_back(lambda: 3)
    assert value(metrics, "ritorno_customers_held_back") == 3


def test_the_room_that_is_left_is_read_when_somebody_asks(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.process.watch_disk(tmp_path)
    assert value(metrics, "ritorno_data_free_bytes") == pytest.approx(
        disk_usage(tmp_path).free, rel=0.05
    )
    metrics.process.watch_disk(tmp_path / "gone")
    assert value(metrics, "ritorno_data_free_bytes") == 0


def test_what_the_gate_has_mended_is_read_when_somebody_asks() -> None:
    metrics, partitions = Metrics(), partition_manager.PartitionManager()
    counts = partitions.counts
    metrics.watch_partitions(partitions)
    assert value(metrics, "ritorno_partition_incidents_total", what="failed_openings") == 0
    counts.batches, counts.failed_openings = 3, 2
    assert value(metrics, "ritorno_partition_batches_total") == 3
    assert value(metrics, "ritorno_partition_incidents_total", what="failed_openings") == 2
    shown = {*PLAIN, *INCIDENTS}
    assert shown == {field.name for field in fields(counts)}, "a count that nobody can read"


def test_hits_are_counted_by_the_step_that_sent_the_mail() -> None:
    metrics = Metrics()
    hit = Hit(
        time=1_772_357_400_000, kind="click", mode="anonymous", verdict="human", why="browser",
        workflow="w06", step="s1", template="cart-reminder", mail_class="marketing", link=1,
    )  # fmt: skip
    metrics.public.hit(hit)
    metrics.public.hit(hit)
    step = {"workflow": "w06", "step": "s1", "kind": "click", "verdict": "human"}
    assert value(metrics, "ritorno_mail_hits_total", **step) == 2
    by_mode = {"kind": "click", "mode": "anonymous", "verdict": "human"}
    assert value(metrics, "ritorno_tracking_hits_total", **by_mode) == 2


def test_odd_fields_are_counted_by_the_names_of_our_models() -> None:
    metrics, counts = Metrics(), BatchCounts()
    counts.odd["order.completed", "products.price", "empty"] = 3
    for number in range(1_000):
        counts.odd["customer.updated", f"trait {number}", "kind"] = 1
        counts.odd[f"invented {number}", "total", f"invented {number}"] = 1
    metrics.committed(0, changes(counts))
    price = {"type": "order.completed", "field": "products.price", "problem": "empty"}
    assert value(metrics, "ritorno_odd_fields_total", **price) == 3
    custom = {"type": "customer.updated", "field": "other", "problem": "kind"}
    assert value(metrics, "ritorno_odd_fields_total", **custom) == 1_000
    assert "invented" not in generate_latest(metrics.registry).decode()
