using System.Buffers.Binary;
using FlowMM.KvCache;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Snapshots;

/// <summary>Bytes that somebody else wrote: whatever they are, the reader refuses them by type or reads the same; it throws nothing else and takes no memory for promises.</summary>
public sealed class HostileSnapshotTests
{
    [Property(MaxTest = 2000)]
    public void Read_ManifestMutatedAndSignedAnew_ReadsOrRefuses((ushort At, int Value, byte Width)[] changes)
    {
        Snapshot snapshot = Images.Write(Images.Image());
        byte[] body = snapshot.Manifest[..^32];
        foreach ((ushort at, int value, byte width) in changes.Take(4))
        {
            // Past the magic, so that the mutation is met by the checks behind it.
            int place = 16 + (at % (body.Length - 20));
            byte[] bytes = BitConverter.GetBytes(value);
            bytes.AsSpan(0, (width % 4) + 1).CopyTo(body.AsSpan(place));
        }

        ReadsOrRefuses(snapshot with { Manifest = SnapshotTests.Sign(body) });
    }

    [Property(MaxTest = 1000)]
    public void Read_AnyBytes_IsRefused(byte[] manifest, byte[] chunk)
    {
        Snapshot good = Images.Write(Images.Image());
        Assert.Throws<SnapshotRefusedException>(() => Images.Read(good with { Manifest = manifest }));
        Assert.Throws<SnapshotRefusedException>(() => Images.Read(good with { Chunks = [chunk, .. good.Chunks[1..]] }));
    }

    [Theory]
    [InlineData(152)]
    [InlineData(156)]
    [InlineData(160)]
    [InlineData(164)]
    [InlineData(168)]
    [InlineData(172)]
    [InlineData(176)]
    [InlineData(180)]
    [InlineData(184)]
    [InlineData(188)]
    public void Read_SizeFieldAtItsExtremes_IsRefused(int at)
    {
        Snapshot snapshot = Images.Write(Images.Image());
        foreach (int value in (int[])[int.MaxValue, int.MinValue, -1, 1 << 20, 1 << 29])
        {
            byte[] body = snapshot.Manifest[..^32];
            if (BinaryPrimitives.ReadInt32LittleEndian(body.AsSpan(at)) != value)
            {
                BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(at), value);
                Assert.Throws<SnapshotRefusedException>(() => Images.Read(snapshot with { Manifest = SnapshotTests.Sign(body) }));
            }
        }
    }

    private static void ReadsOrRefuses(Snapshot snapshot)
    {
        try
        {
            Images.Read(snapshot);
        }
        catch (SnapshotRefusedException)
        {
            // By type: what the promise is.
        }
    }
}
