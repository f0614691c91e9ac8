using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace FlowMM.Engine;

/// <summary>
/// Names of a conversation's fronts: one for each whole chunk at the start of its first prompt. Equal names mean the same tenant, the same tokens
/// and the same pictures up to there, computed in the same chunks.
/// </summary>
internal static class Fronts
{
    /// <summary>SHA-256 over the tenant and everything before each chunk's end, in order; none for a prompt that is merged.</summary>
    /// <param name="tenant">Whose conversation: the salt.</param>
    /// <param name="first">The conversation's first run.</param>
    /// <param name="chunk">Tokens of a chunk.</param>
    public static string[] Of(string tenant, TokenRun first, int chunk)
    {
        if (first.Merging is { Method: not "full" })
        {
            return [];
        }

        // At least one token is left to be computed: its logits are what follows.
        string[] names = new string[(first.Ids.Count - 1) / chunk];
        byte[] before = SHA256.HashData(Encoding.UTF8.GetBytes(tenant));
        for (int i = 0; i < names.Length; i++)
        {
            before = Next(before, first, i * chunk, (i + 1) * chunk);
            names[i] = Convert.ToHexStringLower(before);
        }

        return names;
    }

    private static byte[] Next(byte[] before, TokenRun run, int from, int to)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(before);
        byte[] number = new byte[sizeof(int)];
        void Add(int value)
        {
            BinaryPrimitives.WriteInt32LittleEndian(number, value);
            hash.AppendData(number);
        }

        for (int i = from; i < to; i++)
        {
            Add(run.Ids[i]);
        }

        foreach (ImageTokens image in run.Images.Where(i => i.Start < to && i.Start + i.Length > from))
        {
            Add(image.Start);
            Add(image.Length);
            hash.AppendData(Convert.FromHexString(image.Hash));
        }

        return hash.GetHashAndReset();
    }
}
