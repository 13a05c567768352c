//! How a metric is written: name, help, type, and a line for each of its values.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, MetricEncoder};
use prometheus_client::encoding::{EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// A label with its value.
pub(super) type Label = (&'static str, String);

/// What is written to.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// A value that goes up and down; none where there is nothing to tell.
    pub(super) fn gauge<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        value: Option<N>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| metric.encode_gauge(&value))
    }

    /// The same with a label.
    pub(super) fn gauges<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        values: impl IntoIterator<Item = (Label, N)>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Gauge, values, |metric, value| {
            metric.encode_gauge(value)
        })
    }

    /// A value that only grows.
    pub(super) fn counter<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        value: &N,
    ) -> fmt::Result {
        count(&mut self.0.encode_descriptor(name, help, unit, MetricType::Counter)?, value)
    }

    /// The same with a label.
    pub(super) fn counters<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        values: impl IntoIterator<Item = (Label, N)>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Counter, values, count)
    }

    /// Texts, as labels of a value that is always 1.
    pub(super) fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: Option<Vec<Label>>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        labels.map_or(Ok(()), |labels| metric.encode_info(&labels))
    }

    /// A line for each label.
    fn family<N>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (Label, N)>,
        write: impl Fn(&mut MetricEncoder<'_>, &N) -> fmt::Result,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        values
            .into_iter()
            .try_for_each(|(label, value)| write(&mut metric.encode_family(&[label])?, &value))
    }
}

fn count<N: EncodeCounterValue>(metric: &mut MetricEncoder<'_>, value: &N) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, N, u64>(value, None)
}
