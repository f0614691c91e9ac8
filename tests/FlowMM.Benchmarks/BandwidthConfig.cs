using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using FlowMM.Model;
using FlowMM.Model.Kernels;

namespace FlowMM.Benchmarks;

/// <summary>Adds what a kernel reads a second, and its share of what this machine's memory gives, measured before the first benchmark.</summary>
internal sealed class BandwidthConfig : ManualConfig
{
    public BandwidthConfig()
    {
        // In this process: a project of its own would not find the tensor library's files.
        AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(8).WithInvocationCount(4).WithUnrollFactor(1));
        double limit = MemoryBandwidth.Read(Environment.ProcessorCount);
        AddColumn(new Bandwidth("GB/s", rate => (rate / 1e9).ToString("F1", CultureInfo.InvariantCulture)));
        AddColumn(new Bandwidth($"of {limit / 1e9:F0} GB/s", rate => (rate / limit).ToString("P0", CultureInfo.InvariantCulture)));
    }

    private sealed class Bandwidth(string name, Func<double, string> text) : IColumn
    {
        public string Id => name;

        public string ColumnName => name;

        public string Legend => "Bytes of the matrix that are read in a second";

        public bool AlwaysShow => true;

        public ColumnCategory Category => ColumnCategory.Custom;

        public int PriorityInCategory => 0;

        public bool IsNumeric => true;

        public UnitType UnitType => UnitType.Dimensionless;

        public bool IsAvailable(Summary summary) => true;

        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
        {
            int group = (WeightType)benchmarkCase.Parameters[nameof(KernelBenchmarks.Weights)] switch
            {
                WeightType.F32 => Float32Format.GroupBytes,
                WeightType.Bf16 => BFloat16Format.GroupBytes,
                _ => Int8Format.GroupBytes,
            };
            double bytes = (double)Panel.Count(KernelBenchmarks.Rows) * Panel.Groups(KernelBenchmarks.Inputs) * group;
            return summary[benchmarkCase]?.ResultStatistics is { } found ? text(bytes / (found.Mean * 1e-9)) : "-";
        }

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);
    }
}
