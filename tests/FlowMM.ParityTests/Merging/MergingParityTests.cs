using System.Text.Json;
using FlowMM.KvCache;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests.Merging;

/// <summary>Every variant of every golden case, within the tolerances that the goldens' README states for f32.</summary>
public sealed class MergingParityTests
{
    /// <summary>Case, variant, and whether rows are computed by tensor operations (as on a GPU) instead of the CPU's own loops.</summary>
    public static TheoryData<string, string, bool> Variants
    {
        get
        {
            TheoryData<string, string, bool> data = [];
            foreach (string name in MergingCase.Names)
            {
                using MergingCase golden = new(name);
                foreach (string variant in golden.Variants)
                {
                    data.Add(name, variant, false);
                    data.Add(name, variant, true);
                }
            }

            return data;
        }
    }

    public static TheoryData<string> Cases => [.. MergingCase.Names];

    [Fact]
    public void Goldens_Folder_HasCases() => Assert.NotEmpty(MergingCase.Names);

    [Theory]
    [MemberData(nameof(Variants))]
    public void Compress_GoldenVariant_AgreesWithReference(string name, string variant, bool tensors)
    {
        using DisposeScope scope = NewDisposeScope();
        using MergingCase golden = new(name);
        JsonElement expected = golden.Variant(variant);
        JsonElement all = expected.GetProperty("all_options");
        MergingPlanOptions options = MergingCase.Options(all);
        LayerSegment segment = golden.Segment(all);
        int length = (int)segment.Keys.shape[1];
        using LayerCompressor compressor = new() { ByTensors = tensors };
        using CompressedLayer result = compressor.Compress(segment, options, MergingCase.LayerBudget(all, options, length));

        Assert.Equal(expected.GetProperty("identity").GetBoolean(), result.Identity);
        Assert.Equal(expected.GetProperty("entries").GetInt32(), result.Length);
        if (options.Method != "full" && options.Method == "flowmm")
        {
            Assert.Equal(expected.GetProperty("inter").GetBoolean(), result.Statistics.Inter);
        }

        string at = variant + ".";
        if (golden.Has(at + "rank"))
        {
            Close(golden.Floats(at + "rank"), Flat(result.Statistics.Rank), 1e-7, 1e-5, "rank");
            Close(golden.Floats(at + "weight"), Flat(result.Statistics.Weight), 1e-7, 1e-5, "weight");
        }

        Close(golden.Floats(at + "beta"), Flat(result.Beta), 1e-4, 0, "beta");
        Assert.Equal(golden.Ints(at + "count"), Flat(result.Counts));
        Tensor keys = result.Keys ?? segment.Keys;
        Tensor values = result.Values ?? segment.Values;
        Tensor beta = tensor(result.Beta.SelectMany(b => b).ToArray()).reshape(keys.shape[0], keys.shape[1]);
        Tensor probe = MassAttention.Attend(golden.Read("in.probe").to(float64), keys.to(float64), values.to(float64), beta);
        Close(golden.Floats(at + "probe"), Flat(probe), 1e-5, 1e-5, "probe");
        if (!result.Identity)
        {
            Entries(golden, at, result, segment);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Measure_GoldenCase_AgreesWithReference(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using MergingCase golden = new(name);
        if (golden.Stats is not JsonElement stats)
        {
            return;
        }

        LayerSegment segment = golden.Segment(golden.Variant(golden.Variants.First()).GetProperty("all_options"));
        using LayerCompressor compressor = new();
        LayerStatistics measured = compressor.Measure(segment, new MergingPlanOptions(), Evidence.Flow | Evidence.Importance | Evidence.Accumulated);
        Close([(float)stats.GetProperty("rho_raw").GetDouble()], [measured.Flow.RhoRaw], 1e-7, 1e-5, "rho_raw");
        Close([(float)stats.GetProperty("rho").GetDouble()], [measured.Flow.Rho], 1e-7, 1e-5, "rho");
        Close([(float)stats.GetProperty("rho0").GetDouble()], [measured.Flow.Chance], 1e-7, 1e-5, "rho0");
        Close([(float)stats.GetProperty("lift").GetDouble()], [measured.Flow.Lift], 1e-7, 1e-5, "lift");
        Close([(float)golden.ColumnVariance], [measured.ColumnVariance(segment.Queries.SamplePositions.Length)], 1e-7, 1e-5, "variance");
        Close(golden.Floats("stats.importance"), Flat(measured.Importance), 1e-7, 1e-5, "importance");
        Close(golden.Floats("stats.accumulated"), Flat(measured.Accumulated), 1e-7, 1e-5, "accumulated");
        Tensor full = MassAttention.Attend(golden.Read("in.probe"), segment.Keys, segment.Values);
        Close(golden.Floats("stats.probe_full"), Flat(full), 1e-5, 1e-5, "probe_full");
    }

    private static void Entries(MergingCase data, string at, CompressedLayer result, LayerSegment segment)
    {
        Assert.Equal(data.Ints(at + "kept"), Flat(result.Kept));
        Assert.Equal(data.Ints(at + "assign"), Flat(result.Assign));
        Assert.Equal(data.Ints(at + "mod"), Flat(result.Modality).Select(m => (int)m));
        Assert.Equal(data.Ints(at + "sensitive"), Flat(result.Sensitive).Select(s => s ? 1 : 0));
        Close(data.Floats(at + "tau"), result.Tau, 1e-4, 0, "tau");
        Close(data.Floats(at + "dropped_mass"), result.DroppedMass, 1e-7, 1e-5, "dropped_mass");
        Close(data.Floats(at + "K"), Flat(result.Keys!), 1e-5, 1e-5, "K");
        Close(data.Floats(at + "V"), Flat(result.Values!), 1e-5, 1e-5, "V");
        for (int g = 0; g < result.Kept.Length; g++)
        {
            for (int e = 0; e < result.Length; e++)
            {
                if (result.Counts[g][e] == 1)
                {
                    Assert.True(result.Values![g, e].equal(segment.Values[g, result.Kept[g][e]]).all().item<bool>());
                    Assert.True(result.Keys![g, e].equal(segment.Keys[g, result.Kept[g][e]]).all().item<bool>());
                }
            }
        }
    }

    private static void Close(float[] expected, IReadOnlyList<double> actual, double absolute, double relative, string what)
    {
        Assert.Equal(expected.Length, actual.Count);
        for (int i = 0; i < expected.Length; i++)
        {
            bool equal = expected[i].Equals((float)actual[i]) || Math.Abs(expected[i] - actual[i]) <= absolute + (relative * Math.Abs(expected[i]));
            Assert.True(equal, $"{what}[{i}]: {actual[i]} instead of {expected[i]}");
        }
    }

    private static T[] Flat<T>(T[][] rows) => [.. rows.SelectMany(r => r)];

    private static double[] Flat(Tensor tensor) => tensor.to(float64).contiguous().data<double>().ToArray();
}
