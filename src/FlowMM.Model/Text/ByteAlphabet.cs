namespace FlowMM.Model.Text;

/// <summary>GPT-2's mapping of bytes to printable characters, which byte-level BPE vocabularies are written in.</summary>
internal static class ByteAlphabet
{
    private static readonly Dictionary<char, byte> Bytes = Make();
    private static readonly char[] Characters = [.. Bytes.OrderBy(p => p.Value).Select(p => p.Key)];

    /// <summary>Text as its UTF-8 bytes, written in the alphabet.</summary>
    public static string Encode(string text) => string.Concat(System.Text.Encoding.UTF8.GetBytes(text).Select(b => Characters[b]));

    /// <summary>The character of one byte.</summary>
    public static char Letter(byte value) => Characters[value];

    /// <summary>The bytes that a vocabulary entry stands for, or null when it holds a character outside the alphabet.</summary>
    public static byte[]? Decode(string token)
    {
        byte[] bytes = new byte[token.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            if (!Bytes.TryGetValue(token[i], out bytes[i]))
            {
                return null;
            }
        }

        return bytes;
    }

    private static Dictionary<char, byte> Make()
    {
        Dictionary<char, byte> map = [];
        int next = 256;
        for (int b = 0; b < 256; b++)
        {
            bool printable = b is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff);
            map[(char)(printable ? b : next++)] = (byte)b;
        }

        return map;
    }
}
