using System.Buffers.Binary;
using System.Security.Cryptography;
using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Snapshots;

/// <summary>Snapshots come back bit for bit, or are refused by type.</summary>
public sealed class SnapshotTests
{
    public static TheoryData<int, bool, bool, ScalarType> Forms
    {
        get
        {
            TheoryData<int, bool, bool, ScalarType> forms = [];
            foreach (int chunk in (int[])[64, 256, 1000, SnapshotFormat.DefaultChunkBytes])
            {
                foreach ((bool zstd, bool encrypted) in ((bool, bool)[])[(false, false), (true, false), (false, true), (true, true)])
                {
                    forms.Add(chunk, zstd, encrypted, ScalarType.Float32);
                    forms.Add(chunk, zstd, encrypted, ScalarType.BFloat16);
                }
            }

            return forms;
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Read_Written_IsTheSame(int chunk, bool zstd, bool encrypted, ScalarType dtype)
    {
        SnapshotKeys keys = encrypted ? Images.Keys : SnapshotKeys.None;
        SessionImage image = Images.Image(dtype: dtype);
        Snapshot snapshot = Images.Write(image, new SnapshotSettings { ChunkBytes = chunk, ZstdLevel = zstd ? 3 : null, Keys = keys });
        Assert.True(Images.Same(image, Images.Read(snapshot, keys, dtype: dtype)));
    }

    [Fact]
    public void Read_ChunksInAnyOrder_IsTheSame()
    {
        SessionImage image = Images.Image();
        Snapshot snapshot = Images.Write(image);
        SnapshotManifest manifest = ManifestCodec.Read(snapshot.Manifest, SnapshotKeys.None);
        using SnapshotDecoder decoder = new(manifest, Images.Owner, Images.Shape, ScalarType.Float32, SnapshotKeys.None, 1 << 20);
        foreach (int i in Enumerable.Range(0, snapshot.Chunks.Length).Reverse())
        {
            decoder.Add(i, snapshot.Chunks[i]);
        }

        Assert.True(Images.Same(image, decoder.Finish()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Read_AnyBitFlipped_IsRefused(bool encrypted)
    {
        SnapshotKeys keys = encrypted ? Images.Keys : SnapshotKeys.None;
        Snapshot snapshot = Images.Write(Images.Image(), new SnapshotSettings { ChunkBytes = 700, ZstdLevel = 1, Keys = keys });
        foreach (byte[] part in (byte[][])[snapshot.Manifest, .. snapshot.Chunks])
        {
            for (int bit = 0; bit < 8 * part.Length; bit++)
            {
                part[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.Throws<SnapshotRefusedException>(() => Images.Read(snapshot, keys));
                part[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }

        Images.Read(snapshot, keys);
    }

    [Fact]
    public void Read_Truncated_IsRefused()
    {
        Snapshot snapshot = Images.Write(Images.Image());
        for (int length = 0; length < snapshot.Manifest.Length; length++)
        {
            Assert.Throws<SnapshotRefusedException>(() => Images.Read(snapshot with { Manifest = snapshot.Manifest[..length] }));
        }

        Refused(SnapshotRefusal.Truncated, () => Images.Read(snapshot with { Manifest = [.. snapshot.Manifest, 0] }));
        Refused(SnapshotRefusal.ChunkMissing, () => Images.Read(snapshot with { Chunks = snapshot.Chunks[..^1] }));
        Refused(SnapshotRefusal.ChunkDamaged, () => Images.Read(snapshot with { Chunks = [snapshot.Chunks[0][..^1], .. snapshot.Chunks[1..]] }));
    }

    [Fact]
    public void Read_WholeChunkOfAnotherPlace_IsRefused()
    {
        SessionImage image = Images.Image();
        Snapshot snapshot = Images.Write(image);
        Snapshot Swap(byte[] chunk) => snapshot with { Chunks = [chunk, .. snapshot.Chunks[1..]] };
        Refused(SnapshotRefusal.ChunkMisplaced, () => Images.Read(Swap(snapshot.Chunks[1])));
        Refused(SnapshotRefusal.ChunkMisplaced, () => Images.Read(Swap(Images.Write(image, owner: Images.Owner with { Session = "other" }).Chunks[0])));
        Refused(SnapshotRefusal.ChunkMisplaced, () => Images.Read(Swap(Images.Write(image, stamp: Images.Stamp with { Epoch = 6 }).Chunks[0])));
        Refused(SnapshotRefusal.ChunkMisplaced, () => Images.Read(Swap(Images.Write(image).Chunks[0])));
    }

    [Fact]
    public void Read_ForAnother_IsRefusedByType()
    {
        Snapshot snapshot = Images.Write(Images.Image());
        Refused(SnapshotRefusal.OtherModel, () => Images.Read(snapshot, owner: Images.Owner with { ModelDigest = Images.Digest(7) }));
        Refused(SnapshotRefusal.OtherOptions, () => Images.Read(snapshot, owner: Images.Owner with { OptionsDigest = Images.Digest(7) }));
        Refused(SnapshotRefusal.OtherSession, () => Images.Read(snapshot, owner: Images.Owner with { Session = "other" }));
        Refused(SnapshotRefusal.OtherSession, () => Images.Read(snapshot, owner: Images.Owner with { Tenant = "other" }));
        Refused(SnapshotRefusal.OtherLayout, () => Images.Read(snapshot, shape: Images.Shape with { HeadDim = 8 }));
        Refused(SnapshotRefusal.OtherLayout, () => Images.Read(snapshot, dtype: ScalarType.BFloat16));
        SnapshotManifest manifest = ManifestCodec.Read(snapshot.Manifest, SnapshotKeys.None);
        Refused(SnapshotRefusal.TooLarge, () => new SnapshotDecoder(manifest, Images.Owner, Images.Shape, ScalarType.Float32, SnapshotKeys.None, 100).Dispose());
    }

    [Fact]
    public void Read_UnderKeys_NeedsTheKeyThatItNames()
    {
        SnapshotKeys old = new(new Dictionary<string, byte[]> { ["old"] = Images.Digest(8) }, "old");
        SnapshotKeys wrong = new(new Dictionary<string, byte[]> { ["old"] = Images.Digest(5) }, "old");
        SessionImage image = Images.Image();
        Snapshot snapshot = Images.Write(image, new SnapshotSettings { ChunkBytes = 256, Keys = old });
        Assert.True(Images.Same(image, Images.Read(snapshot, Images.Keys)));
        Refused(SnapshotRefusal.UnknownKey, () => Images.Read(snapshot));
        Refused(SnapshotRefusal.ManifestDamaged, () => Images.Read(snapshot, wrong));
        Assert.DoesNotContain(snapshot.Chunks, c => c.AsSpan().IndexOf(image.Layers[0].Data.AsSpan(0, 32)) >= 0);

        // Encrypted chunks under a manifest that says they are not: whoever can write to the store cannot make the reader skip the key.
        SnapshotManifest manifest = ManifestCodec.Read(snapshot.Manifest, old);
        byte[] forged = ManifestCodec.Write(manifest with { KeyId = "" }, SnapshotKeys.None);
        Refused(SnapshotRefusal.Malformed, () => Images.Read(snapshot with { Manifest = forged }, old));
    }

    [Fact]
    public void Read_ForkOfASession_SharesItsChunks()
    {
        SessionImage image = Images.Image();
        Snapshot snapshot = Images.Write(image, new SnapshotSettings { ChunkBytes = 256, Keys = Images.Keys });
        SnapshotManifest manifest = ManifestCodec.Read(snapshot.Manifest, Images.Keys);
        byte[] fork = ManifestCodec.Write(manifest with { Session = "fork" }, Images.Keys);
        Assert.True(Images.Same(image, Images.Read(snapshot with { Manifest = fork }, Images.Keys, Images.Owner with { Session = "fork" })));
    }

    [Fact]
    public void Read_ContentThatContradictsItself_IsRefused()
    {
        SessionImage image = Images.Image();
        SessionSegment first = image.Segments[0];
        LayerImage Spoilt(int at, int value)
        {
            LayerImage layer = Images.Image().Layers[0];
            BinaryPrimitives.WriteInt32LittleEndian(layer.Data.AsSpan(at), value);
            return layer;
        }

        int entries = image.Layers[0].Length * Images.Shape.KvHeads, rest = image.Layers[0].Bytes - (13 * entries);
        SessionImage[] hostile =
        [
            image with { Segments = [first with { Position = 1 }, image.Segments[1]] },
            image with { Segments = [first with { Tokens = 1_000_000 }, image.Segments[1]] },
            image with { Segments = [first with { Tokens = -10 }, image.Segments[1]] },
            image with { Segments = [first with { Lengths = [5, 5] }, image.Segments[1]] },
            image with { Frozen = 20 },
            image with { Shifts = [new(4, 1), new(4, 1)] },
            image with { Shifts = [new(4, 1_000)] },
            image with { Layers = [Spoilt(rest, 0x7fc00000), image.Layers[1]] },
            image with { Layers = [Spoilt(rest + (4 * entries), 1_000), image.Layers[1]] },
            image with { Layers = [Spoilt(rest + (8 * entries), 0), image.Layers[1]] },
            image with { Layers = [Spoilt(rest + (12 * entries), 2), image.Layers[1]] },
        ];
        Assert.All(hostile, h => Refused(SnapshotRefusal.Malformed, () => Images.Read(Images.Write(h))));
    }

    [Theory]
    [InlineData("v1-plain", false)]
    [InlineData("v1-zstd-aes", true)]
    public void Read_GoldenOfAVersion_IsTheSameForEver(string name, bool encrypted)
    {
        byte[] file = File.ReadAllBytes(Path.Combine(Repository.Root, "tests", "FlowMM.UnitTests", "KvCache", "Snapshots", "goldens", name + ".bin"));
        List<byte[]> parts = [];
        for (int at = 0; at < file.Length; at += 4 + parts[^1].Length)
        {
            parts.Add(file[(at + 4)..(at + 4 + BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at)))]);
        }

        SessionImage read = Images.Read(new Snapshot(parts[0], [.. parts[1..]]), encrypted ? Images.Keys : SnapshotKeys.None);
        Assert.True(Images.Same(Images.Image(), read));

        // A later version is told from damage: its number is looked at before anything else is believed.
        byte[] later = [.. parts[0]];
        later[8] = 2;
        Refused(SnapshotRefusal.UnknownVersion, () => ManifestCodec.Read(later, SnapshotKeys.None));
    }

    [Fact]
    public void Keys_WrongLengthOrCurrent_AreRefusedWithoutShowingThem()
    {
        Assert.DoesNotContain("AQID", Assert.Throws<ArgumentException>(() => new SnapshotKeys(new Dictionary<string, byte[]> { ["a"] = [1, 2, 3] }, "a")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SnapshotKeys(new Dictionary<string, byte[]>(), "a"));
    }

    /// <summary>A manifest with any bytes and a fitting digest: what somebody who can write to the store may put there.</summary>
    internal static byte[] Sign(ReadOnlySpan<byte> body) => [.. body, .. SHA256.HashData(body)];

    internal static void Refused(SnapshotRefusal refusal, Action read) => Assert.Equal(refusal, Assert.Throws<SnapshotRefusedException>(read).Refusal);
}
