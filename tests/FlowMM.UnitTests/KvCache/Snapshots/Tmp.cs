using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Snapshots;

public sealed class Tmp
{
    [Fact]
    public void Gen()
    {
        foreach ((string name, SnapshotSettings s) in ((string, SnapshotSettings)[])[("v1-plain", new() { ChunkBytes = 512 }), ("v1-zstd-aes", new() { ChunkBytes = 512, ZstdLevel = 3, Keys = Images.Keys })])
        {
            Snapshot made = Images.Write(Images.Image(), s);
            File.WriteAllBytes(Path.Combine(Repository.Root, "tests/FlowMM.UnitTests/KvCache/Snapshots/goldens", name + ".bin"), [.. ((byte[][])[made.Manifest, .. made.Chunks]).SelectMany(p => (byte[])[.. BitConverter.GetBytes(p.Length), .. p])]);
        }
    }
}
