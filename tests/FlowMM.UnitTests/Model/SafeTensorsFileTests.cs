using FlowMM.Model;
using FlowMM.Model.Weights;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

public sealed class SafeTensorsFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public static TheoryData<string, int, string> Hostile => new()
    {
        { "[]", 0, "header" },
        { "{", 0, "header" },
        { """{"a":1}""", 0, "header" },
        { """{"a":{"dtype":"F32","shape":[2]}}""", 8, "header" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "'a'" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[9223372036854775800,9223372036854775807]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]}}""", 8, "header" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1.5]}}""", 8, "header" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}""", 8, "'a'" },
        { """{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}""", 8, "'a'" },
        { """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8, "'b'" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8, "'a'" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void Open_HostileHeader_NamesFileAndFault(string header, int dataBytes, string named)
    {
        File.WriteAllBytes(_path, CheckpointFolder.SafeTensors(header, dataBytes));
        CheckpointException error = Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(_path));
        Assert.Contains(_path, error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void Open_FileShorterThanPrefix_IsRefused(int length)
    {
        File.WriteAllBytes(_path, new byte[length]);
        Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(_path));
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    [InlineData(99_000_000)]
    [InlineData(100_000_001)]
    public void Open_HugeHeaderLength_IsRefusedBeforeMemoryIsTaken(long claimed)
    {
        byte[] file = CheckpointFolder.SafeTensors("{}", 8);
        BitConverter.TryWriteBytes(file, claimed);
        File.WriteAllBytes(_path, file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(_path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void Read_EachFloatType_GivesValues()
    {
        byte[] file = CheckpointFolder.SafeTensors(
            """{"__metadata__":{"format":"pt"},"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]},"f":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}""", 8);
        byte[] data = [.. BitConverter.GetBytes((Half)1.5f), 0xc0, 0x3f, .. BitConverter.GetBytes(1.5f)];
        data.CopyTo(file, file.Length - 8);
        File.WriteAllBytes(_path, file);
        using SafeTensorsFile tensors = SafeTensorsFile.Open(_path);
        using DisposeScope scope = NewDisposeScope();
        Assert.All(new[] { "h", "b", "f" }, name => Assert.Equal(1.5f, tensors.Read(name).to(float32).view(-1)[0].item<float>()));
        Assert.Equal(0, tensors.Read("e").numel());
    }

    /// <summary>Whatever the bytes are: an error that names the file, or a file whose tensors lie inside it.</summary>
    [Property(MaxTest = 300)]
    public Property Open_MutatedFile_NeverDoesAnythingElse() => Prop.ForAll(
        ArbMap.Default.ArbFor<(byte, byte, byte)[]>(),
        edits =>
        {
            byte[] file = CheckpointFolder.SafeTensors("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]}}""", 16);
            foreach ((byte where, byte value, _) in edits)
            {
                file[where % file.Length] = value;
            }

            File.WriteAllBytes(_path, file);
            try
            {
                using SafeTensorsFile tensors = SafeTensorsFile.Open(_path);
                using DisposeScope scope = NewDisposeScope();
                return tensors.Names.All(n => tensors.Read(n).numel() >= 0);
            }
            catch (CheckpointException error)
            {
                return error.File == _path;
            }
        });

    public void Dispose() => File.Delete(_path);
}
