"""What breaks devices, planted one by one: does doctor, or explain, name it first or second?"""
