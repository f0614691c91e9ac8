using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

/// <summary>Rows that are read where they are mapped are those that the tensor library makes of the same files.</summary>
public sealed class WeightRowsTests : IDisposable
{
    private const int Width = 37;

    private static readonly PartNames Names = new("a", new PartLayout("x."), new PartLayout("", new Rename("b", "both", 0, 2), new Rename("c", "both", 1, 2)));

    private readonly string _folder = Directory.CreateTempSubdirectory("flowmm-").FullName;
    private readonly Generator _random = new(7, CPU);

    [Theory]
    [InlineData(ScalarType.Float64, "F64")]
    [InlineData(ScalarType.Float32, "F32")]
    [InlineData(ScalarType.Float16, "F16")]
    [InlineData(ScalarType.BFloat16, "BF16")]
    public void Read_AnyRows_EqualsTheTensor(ScalarType type, string name)
    {
        Write(type, name);
        using DisposeScope scope = NewDisposeScope();
        using WeightFiles files = WeightFiles.Open(_folder, null);
        WeightSource source = new(files, Names, CPU, ScalarType.Float32);
        (string, int)[] parts = [("a", 5), ("b", 3), ("c", 3)];
        float[] expected = source.ReadRows(parts, Width).data<float>().ToArray();
        WeightRows rows = source.Rows(parts, Width);
        Assert.Equal((11, Width), (rows.Count, rows.Width));
        for (int first = 0; first < rows.Count; first++)
        {
            for (int count = 1; first + count <= rows.Count; count++)
            {
                Assert.Equal(expected[(first * Width)..((first + count) * Width)], Read(rows, first, count));
            }
        }
    }

    [Fact]
    public void Read_AllRows_CountsThemAsUsed()
    {
        Write(ScalarType.BFloat16, "BF16");
        List<LoadProgress> told = [];
        using WeightFiles files = WeightFiles.Open(_folder, new Told(told));
        WeightSource source = new(files, Names, CPU, ScalarType.Float32);
        WeightRows rows = source.Rows([("a", 5), ("b", 3), ("c", 3)], Width);
        Assert.Throws<CheckpointException>(files.CheckAllUsed);
        Read(rows, 0, rows.Count);
        files.CheckAllUsed();
        Assert.Equal(11 * Width * 2, told[^1].Bytes);
    }

    [Theory]
    [InlineData("a", 4)]
    [InlineData("d", 5)]
    public void Rows_NotThere_NamesTheTensor(string name, int count)
    {
        Write(ScalarType.Float32, "F32");
        using WeightFiles files = WeightFiles.Open(_folder, null);
        CheckpointException error = Assert.Throws<CheckpointException>(() => new WeightSource(files, Names, CPU, ScalarType.Float32).Rows([(name, count)], Width));
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _random.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static unsafe float[] Read(WeightRows rows, int first, int count)
    {
        float[] values = new float[count * Width];
        fixed (float* to = values)
        {
            rows.Read(first, count, to);
        }

        return values;
    }

    private void Write(ScalarType type, string name)
    {
        using DisposeScope scope = NewDisposeScope();
        byte[] data = randn([11, Width], generator: _random).to(type).bytes.ToArray();
        int size = data.Length / 11, middle = 5 * size;
        string header = $$$"""{"a":{"dtype":"{{{name}}}","shape":[5,{{{Width}}}],"data_offsets":[0,{{{middle}}}]},"both":{"dtype":"{{{name}}}","shape":[6,{{{Width}}}],"data_offsets":[{{{middle}}},{{{data.Length}}}]}}""";
        byte[] file = CheckpointFolder.SafeTensors(header, data.Length);
        data.CopyTo(file.AsSpan(file.Length - data.Length));
        File.WriteAllBytes(Path.Combine(_folder, "model.safetensors"), file);
    }

    private sealed class Told(List<LoadProgress> told) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => told.Add(value);
    }
}
