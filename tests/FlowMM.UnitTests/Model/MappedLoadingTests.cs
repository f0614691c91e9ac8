using FlowMM.Model.Weights;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

/// <summary>Weights are mapped, read when they are asked for, and their pages given back: a loading process does not hold the file twice.</summary>
[Collection(Alone.Name)]
public sealed class MappedLoadingTests : IDisposable
{
    private const int Megabytes = 64;
    private const long Size = (long)Megabytes << 20;

    /// <summary>What the reader holds of the map at most is 4 Mi elements, here 16 MiB; the rest is the system's own reading ahead.</summary>
    private const long Held = 24L << 20;

    private readonly string _path = Path.GetTempFileName();

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Read_LargeTensor_LeavesNoPagesOfTheFile(ScalarType type)
    {
        WriteOnes();
        using Tensor target = zeros([Size / 4], type);
        long before = MappedBytes();
        using SafeTensorsFile tensors = SafeTensorsFile.Open(_path);
        Assert.InRange(MappedBytes() - before, long.MinValue, 1 << 20);
        tensors.Read("a", 0, target);
        Assert.InRange(MappedBytes() - before, long.MinValue, Held);
        Assert.Equal(Size / 4, target.sum(float64).item<double>());
    }

    /// <summary>Small pieces, by several threads: what one reads brings pages back that another has given back.</summary>
    [Fact]
    public void Read_PiecesInParallel_LeavesNoPagesOfTheFile()
    {
        const int Piece = 7000;
        WriteOnes();
        long before = MappedBytes(), sum = 0;
        using SafeTensorsFile tensors = SafeTensorsFile.Open(_path);
        Parallel.For(0, (int)(Size / 4 / Piece), piece =>
        {
            float[] values = new float[Piece];
            tensors.Read("a", (long)piece * Piece, values);
            Interlocked.Add(ref sum, (long)values.Sum());
        });
        Assert.InRange(MappedBytes() - before, long.MinValue, 4 << 20);
        Assert.Equal(Size / 4 / Piece * Piece, sum);
    }

    public void Dispose() => File.Delete(_path);

    private void WriteOnes()
    {
        using FileStream file = File.Create(_path);
        file.Write(CheckpointFolder.SafeTensors($$$"""{"a":{"dtype":"F32","shape":[{{{Size / 4}}}],"data_offsets":[0,{{{Size}}}]}}""", 0));
        byte[] ones = new byte[1 << 20];
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(ones.AsSpan()).Fill(1);
        for (int i = 0; i < Megabytes; i++)
        {
            file.Write(ones);
        }
    }

    /// <summary>Bytes of mapped files in memory, as the system counts them.</summary>
    private static long MappedBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssFile:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
    }
}
